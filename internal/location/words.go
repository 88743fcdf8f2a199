package location

import "github.com/meridian-federation/meridian/internal/record"

// word is a child's latest word on one key.
type word struct {
	child    string
	record   record.Record
	location record.Location // zero for a place
	term     int             // when it was said; before the first is in it
}

// words are the children's words, found by key, by cluster and by application.
type words struct {
	all           map[record.Key]word
	byCluster     map[string]map[record.Key]struct{}
	byApplication map[string]map[record.Key]struct{}
}

func newWords() words {
	return words{all: map[record.Key]word{}, byCluster: map[string]map[record.Key]struct{}{},
		byApplication: map[string]map[record.Key]struct{}{}}
}

func (w *words) put(key record.Key, v word) {
	if before, ok := w.all[key]; ok {
		w.drop(key, before.child)
	}
	w.all[key] = v
	enter(w.byCluster, key.Site(), key)
	if app := applicationOf(key); app != "" {
		enter(w.byApplication, app, key)
	}
}

// drop drops a child's word, and tells whether there was one.
func (w *words) drop(key record.Key, child string) bool {
	if v, ok := w.all[key]; !ok || v.child != child {
		return false
	}
	delete(w.all, key)
	leave(w.byCluster, key.Site(), key)
	if app := applicationOf(key); app != "" {
		leave(w.byApplication, app, key)
	}
	return true
}

// applicationOf is the application, NAMESPACE/APPLICATION, of a location; empty for a place.
func applicationOf(key record.Key) string {
	if p := key.Parts(); key.Kind == record.KindLocation && len(p) >= 3 {
		return record.ServiceName(p[0], p[1])
	}
	return ""
}

func enter(index map[string]map[record.Key]struct{}, name string, key record.Key) {
	if index[name] == nil {
		index[name] = map[record.Key]struct{}{}
	}
	index[name][key] = struct{}{}
}

func leave(index map[string]map[record.Key]struct{}, name string, key record.Key) {
	delete(index[name], key)
	if len(index[name]) == 0 {
		delete(index, name)
	}
}
