package identity

import (
	"fmt"
	"slices"
	"testing"
)

// TestOrder: the addresses that a parent tells count until it tells others, those of the configuration always.
func TestOrder(t *testing.T) {
	p := &parent{configured: []string{"a:1", "b:1"}}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("m%d:1", i))
	}
	for _, step := range []struct {
		name string
		do   func()
		want []string
	}{
		{"at first", func() {}, []string{"a:1", "b:1"}},
		{"told of others", func() { p.learn([]string{"c:1", "b:1", "d:1"}) }, []string{"a:1", "b:1", "c:1", "d:1"}},
		{"one has answered", func() { p.answered("c:1") }, []string{"c:1", "a:1", "b:1", "d:1"}},
		{"it is told of no more", func() { p.learn([]string{"d:1"}) }, []string{"a:1", "b:1", "d:1"}},
		{"one of the configuration has answered", func() { p.answered("b:1") }, []string{"b:1", "a:1", "d:1"}},
		{"one serves this process", func() { (&Identity{parent: p}).Served("d:1") }, []string{"d:1", "a:1", "b:1"}},
		{"one of the configuration does", func() { (&Identity{parent: p}).Served("b:1") }, []string{"b:1", "a:1", "d:1"}},
		{"told of none", func() { p.learn(nil) }, []string{"b:1", "a:1"}},
		{"told of very many", func() { p.learn(many) }, append([]string{"b:1", "a:1"}, many[:maxLearned]...)},
	} {
		step.do()
		if got := p.order(); !slices.Equal(got, step.want) {
			t.Errorf("%s: got %v, want %v", step.name, got, step.want)
		}
	}
}
