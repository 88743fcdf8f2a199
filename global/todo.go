package global

// todo is a set of what is to be planned, first in first out: applications, ExternalServices and IPClaims.
type todo struct {
	names []string
	in    map[string]bool
}

func newTodo() *todo { return &todo{in: map[string]bool{}} }

func (t *todo) add(name string) {
	if !t.in[name] {
		t.in[name] = true
		t.names = append(t.names, name)
	}
}

func (t *todo) addAll(names map[string]bool) {
	for name := range names {
		t.add(name)
	}
}

func (t *todo) next() (string, bool) {
	if len(t.names) == 0 {
		return "", false
	}
	name := t.names[0]
	t.names = t.names[1:]
	delete(t.in, name)
	return name, true
}
