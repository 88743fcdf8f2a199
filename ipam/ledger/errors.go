package ledger

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/store"
)

// Errors of a ledger, wrapped.
var (
	// ErrFull: no block has room; see Full.
	ErrFull = errors.New("no room")
	// ErrNotFound: the owner holds nothing, or there is no such block.
	ErrNotFound = errors.New("not found")
	// ErrUnknownPool: the ledger has no block of the pool.
	ErrUnknownPool = errors.New("no block of this pool is held here")
	// ErrInvalid: the request can never be met as it is; the text names the field.
	ErrInvalid = errors.New("invalid")
	// ErrDeposed: another process has opened the ledger. Nothing was written.
	ErrDeposed = errors.New("another process has claimed the address blocks")
	// ErrSetBack: etcd has lost what it had answered for; see SetBack.
	ErrSetBack = errors.New("etcd was set back to before what this ledger has written")
	// ErrClosed: the ledger was closed.
	ErrClosed = errors.New("ledger closed")
	// ErrUnknown: nobody heard what became of it. It may have been written, or be yet. It comes with the reason: the
	// context's end, ErrClosed, ErrDeposed, ErrSetBack. After any other error nothing was written.
	ErrUnknown = errors.New("it is not known whether it was written")
)

// Full says why there is no room. It is an ErrFull.
type Full struct {
	Pool   string
	Length int
	// Largest is the length of the largest prefix that is free in an open block; -1 for none.
	Largest int
	// TooLarge: no open block is that large, even when all of it is free.
	TooLarge bool
}

// Error tells what there is instead.
func (e *Full) Error() string {
	switch {
	case e.TooLarge:
		return fmt.Sprintf("pool %s has no block for a /%d: %s", e.Pool, e.Length, e.largest())
	default:
		return fmt.Sprintf("pool %s has no free /%d: %s", e.Pool, e.Length, e.largest())
	}
}

func (e *Full) largest() string {
	if e.Largest < 0 {
		return "nothing is free"
	}
	return fmt.Sprintf("the largest free prefix is a /%d", e.Largest)
}

// Is makes it an ErrFull.
func (e *Full) Is(target error) bool { return target == ErrFull }

// Taken says that a certain prefix cannot be had.
type Taken struct {
	Pool string
	// Asked overlaps By, the lowest that is in its way.
	Asked, By netip.Prefix
	// Owner has By; empty where By is reserved.
	Owner string
	// Until is the end of By's quarantine, where it is in one.
	Until time.Time

	revision int64 // of By's entry
}

// Error names who has it.
func (e *Taken) Error() string {
	text := fmt.Sprintf("prefix %s of pool %s ", e.Asked, e.Pool)
	if e.By != e.Asked {
		text += fmt.Sprintf("overlaps %s, which ", e.By)
	}
	switch {
	case e.Owner == "":
		return text + "is reserved"
	case !e.Until.IsZero():
		return text + fmt.Sprintf("is in quarantine until %s: %s released it", e.Until.Format(time.RFC3339), e.Owner)
	default:
		return text + "is held by " + e.Owner
	}
}

// Closed says that a certain prefix lies in a block of which nothing more is taken. It is an ErrFull.
type Closed struct {
	Pool         string
	Asked, Block netip.Prefix
}

// Error names the block.
func (e *Closed) Error() string {
	return fmt.Sprintf("prefix %s of pool %s lies in %s, which is closed: nothing more is taken from it", e.Asked, e.Pool, e.Block)
}

// Is makes it an ErrFull.
func (e *Closed) Is(target error) bool { return target == ErrFull }

// Conflict says that an owner holds something else than it asks for.
type Conflict struct {
	Asked Request
	Holds Entry
}

// Error names both.
func (e *Conflict) Error() string {
	asked := fmt.Sprintf("a /%d", e.Asked.Length)
	if e.Asked.Prefix.IsValid() {
		asked = e.Asked.Prefix.String()
	}
	return fmt.Sprintf("%s asks for %s of pool %s and holds %s of pool %s; release that first",
		e.Asked.Owner, asked, e.Asked.Pool, e.Holds.Prefix, e.Holds.Pool)
}

// InUse says that a part of a block cannot be taken away.
type InUse struct {
	Pool   string
	Prefix netip.Prefix
	// Owners hold something of it, or did and it is in quarantine: the first, by address.
	Owners []string
	// More: there are others.
	More bool
}

// Error names the owners.
func (e *InUse) Error() string {
	text := fmt.Sprintf("%s of pool %s is in use by %s", e.Prefix, e.Pool, strings.Join(e.Owners, ", "))
	if e.More {
		text += " and others"
	}
	return text
}

// SetBack says what etcd should hold and what it does. It is an ErrSetBack.
type SetBack struct {
	// Witnessed is what was written, as this machine remembers; Found is where etcd is, of epoch 0 if it was emptied.
	Witnessed, Found store.Position
}

// Error gives both positions.
func (e *SetBack) Error() string {
	return fmt.Sprintf("%v: revision %d of epoch %x was written, found is revision %d of epoch %x", ErrSetBack,
		e.Witnessed.Revision, e.Witnessed.Epoch, e.Found.Revision, e.Found.Epoch)
}

// Is makes it an ErrSetBack.
func (e *SetBack) Is(target error) bool { return target == ErrSetBack }
