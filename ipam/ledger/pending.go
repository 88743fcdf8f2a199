package ledger

import (
	"context"
	"errors"
	"net/netip"
)

// Open claims the blocks and reads what is taken. The error is a *SetBack where etcd has lost what the witness remembers.
func Open(ctx context.Context, cfg Config) (*Ledger, error) { return nil, errors.ErrUnsupported }

// Repair accepts an etcd that was set back: it gives the ledger a new epoch, deposes whoever has it open, and reports
// what it finds. After it Open succeeds. What was allocated and lost is not known here; owners have to ask again.
func Repair(ctx context.Context, cfg Config) (Report, error) { return Report{}, errors.ErrUnsupported }

// Close gives the ledger up and waits for what is under way to end.
func (l *Ledger) Close() error { return errors.ErrUnsupported }

// Run ends quarantines at their time, until ctx ends, whose error it returns, the ledger is closed (ErrClosed), or another
// process has opened it (ErrDeposed), or etcd was set back (ErrSetBack).
func (l *Ledger) Run(ctx context.Context) error { return errors.ErrUnsupported }

// PutBlock adds a block, or makes it as given. What the reservations would strand is refused with an *InUse.
func (l *Ledger) PutBlock(ctx context.Context, p Pool, b Block) error { return errors.ErrUnsupported }

// DropBlock takes a block away. While something of it is taken or in quarantine that is refused with an *InUse. The error
// is ErrNotFound where there is no such block.
func (l *Ledger) DropBlock(ctx context.Context, pool string, p netip.Prefix) error {
	return errors.ErrUnsupported
}

// Allocate gives an owner a prefix, or what it holds already where that is what it asks for; otherwise the error is a
// *Conflict. Others are a *Full (ErrFull), a *Taken, ErrUnknownPool, ErrInvalid, ErrDeposed, ErrSetBack, ErrClosed. After
// any other error, such as the context's end, the owner may have been given a prefix: ask again, or Release.
func (l *Ledger) Allocate(ctx context.Context, r Request) (Entry, error) {
	return Entry{}, errors.ErrUnsupported
}

// AllocateBatch is Allocate for several owners at once, each with its own result.
func (l *Ledger) AllocateBatch(ctx context.Context, rs []Request) []Result { return nil }

// Release ends what an owner holds. The entry returned says until when it is in quarantine. Of an owner that holds nothing
// the error is ErrNotFound.
func (l *Ledger) Release(ctx context.Context, owner string) (Entry, error) {
	return Entry{}, errors.ErrUnsupported
}

// Get is what an owner holds, or ErrNotFound.
func (l *Ledger) Get(ctx context.Context, owner string) (Entry, error) {
	return Entry{}, errors.ErrUnsupported
}

// Find is the entries of all pools that overlap a prefix, in quarantine or not: the first 1,000 of each pool.
func (l *Ledger) Find(ctx context.Context, p netip.Prefix) ([]Entry, error) {
	return nil, errors.ErrUnsupported
}

// List is a page of entries, and where the next one begins; empty after the last.
func (l *Ledger) List(ctx context.Context, q Query) (entries []Entry, next string, err error) {
	return nil, "", errors.ErrUnsupported
}

// Watch calls fn with all entries that q selects (its From and Limit mean nothing), and then with each change, until ctx
// ends, fn fails, whose error it returns, or etcd does not answer any more. A release is an entry with Until, unless its
// pool has no quarantine.
func (l *Ledger) Watch(ctx context.Context, q Query, fn func(Event) error) error {
	return errors.ErrUnsupported
}

// Usage is how a pool stands here, from memory.
func (l *Ledger) Usage(pool string) Usage { return Usage{} }

// Pools are those of which there are blocks, by name. Quarantine is that of the lowest block.
func (l *Ledger) Pools() []Pool { return nil }

// Position is the ledger's epoch and the revision of the last change that was answered.
func (l *Ledger) Position() (epoch uint64, revision int64) { return 0, 0 }

// Changed is closed when something is taken, becomes free, or a block changes, the next time.
func (l *Ledger) Changed() <-chan struct{} { return nil }

// Audit reads all of the ledger, compares it with itself and with this process's memory, and changes nothing.
func (l *Ledger) Audit(ctx context.Context) (Report, error) { return Report{}, errors.ErrUnsupported }

// Mend removes what a report names as leaked, if it still is as reported. It returns how many that were.
func (l *Ledger) Mend(ctx context.Context, r Report) (int, error) { return 0, errors.ErrUnsupported }
