package rollup

import (
	"strings"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// Report keeps a tier's Outbox towards its parent: the sums of a Table, and the health of clusters. A tier that has just
// started knows less than its parent remembers of it, so until Open a sum is published only when ready says that all who
// have a part in it have spoken. It is not safe for concurrent use.
type Report struct {
	table  *Table
	outbox *feed.Outbox
	ready  func(app string) bool
	open   bool
}

// NewReport publishes into the outbox, which the report completes when it is opened. ready may be nil: never before Open.
func NewReport(outbox *feed.Outbox, ready func(app string) bool) *Report {
	return &Report{table: NewTable(), outbox: outbox, ready: ready}
}

// Table is what the report sums; it is changed through the report.
func (r *Report) Table() *Table { return r.table }

// Put notes a child's word on an application.
func (r *Report) Put(child string, s record.Status) {
	r.table.Put(child, s)
	r.Publish(record.ServiceName(s.Namespace, s.Application))
}

// Remove drops a child's word on an application.
func (r *Report) Remove(child, app string) {
	r.table.Remove(child, app)
	r.Publish(app)
}

// Publish brings the parent the sum of an application, if that may be said yet. A removal counts as a person's: what is
// said of an application goes with it, and nothing hangs on it.
func (r *Report) Publish(app string) {
	if !r.open && (r.ready == nil || !r.ready(app)) {
		return
	}
	if s, ok := r.table.Merge(app); ok {
		rec := s.Record()
		r.outbox.Edit(feed.Put(&rec))
		return
	}
	namespace, name, _ := strings.Cut(app, "/")
	r.outbox.Edit(feed.Remove(record.StatusKey(namespace, name), record.CausePerson))
}

// PutHealth brings the parent the health of a cluster.
func (r *Report) PutHealth(h record.Health) {
	rec := h.Record()
	r.outbox.Edit(feed.Put(&rec))
}

// RemoveHealth takes it back.
func (r *Report) RemoveHealth(cluster string) {
	r.outbox.Edit(feed.Remove(record.HealthKey(cluster), record.CausePerson))
}

// Opened tells whether everything is said.
func (r *Report) Opened() bool { return r.open }

// Open publishes everything: whoever has not spoken by now is not waited for.
func (r *Report) Open() {
	if r.open {
		return
	}
	r.open = true
	for _, app := range r.table.Apps() {
		r.Publish(app)
	}
	r.outbox.SetComplete(true)
}
