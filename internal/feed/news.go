package feed

import (
	"slices"

	"github.com/meridian-federation/meridian/internal/record"
)

// maxNews is how many keys of each sort a session takes from its Ledger's news at a time.
const maxNews = 64 * batchRecords

// news is what the holder said and the session has to pass on. Without a session there is none: the next one begins
// with a comparison. However often the holder speaks of a key, it is here once.
type news struct {
	again bool
	// want are keys to be sent again, reported those with a new result, in the order in which they were first named.
	want, reported []record.Key
	wants          map[record.Key]struct{}
	// results are the latest results of the keys reported.
	results map[record.Key]result
}

// result is what became of a version outside an acknowledgement: accepted, unless there is a rejection.
type result struct {
	version   record.Version
	rejection *Rejection
}

func (n *news) addWant(key record.Key) {
	if _, known := n.wants[key]; known {
		return
	}
	if n.wants == nil {
		n.wants = map[record.Key]struct{}{}
	}
	n.wants[key] = struct{}{}
	n.want = append(n.want, key)
}

func (n *news) addResult(key record.Key, r result) {
	if n.results == nil {
		n.results = map[record.Key]result{}
	}
	if _, known := n.results[key]; !known {
		n.reported = append(n.reported, key)
	}
	n.results[key] = r
}

// take returns the messages that pass on a part of the news, and forgets that part; more tells that there is another.
func (n *news) take() (out []Message, more bool) {
	if n.again {
		out = append(out, Again{})
	}
	want := n.want[:min(len(n.want), maxNews)]
	for keys := range slices.Chunk(want, batchRecords) {
		out = append(out, Want{Keys: keys})
	}
	for _, key := range want {
		delete(n.wants, key)
	}
	reported := n.reported[:min(len(n.reported), maxNews)]
	for keys := range slices.Chunk(reported, batchRecords) {
		out = append(out, n.report(keys))
	}
	n.again, n.want, n.reported = false, n.want[len(want):], n.reported[len(reported):]
	if more = len(n.want)+len(n.reported) > 0; !more {
		*n = news{}
	}
	return out, more
}

// report is the report of some results, which it forgets.
func (n *news) report(keys []record.Key) (r Report) {
	for _, key := range keys {
		result := n.results[key]
		delete(n.results, key)
		if result.rejection != nil {
			r.Rejected = append(r.Rejected, *result.rejection)
		} else {
			r.Accepted = append(r.Accepted, record.KeyVersion{Key: key, Version: result.version})
		}
	}
	r.Rejected = bounded(r.Rejected)
	return r
}
