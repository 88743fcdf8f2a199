package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"github.com/meridian-federation/meridian/internal/store"
)

// mark is what shows that etcd still has all that was answered: the last change, and a key that it wrote.
type mark struct {
	store.Position
	key string // without the root
}

// witness remembers the last mark in a file of this machine, where an etcd that is set back does not take it along.
//
// It is written before a change is answered, so that it never says less than that; writing ahead of time, to write less
// often, would not do: after a crash nobody could tell a change that was lost from one that never was. So that a write costs
// a microsecond, it replaces one of two slots in place, by turns, each with a checksum, and leaves the disk to sync: that
// suffices for whatever may happen to the process. After a crash of the machine, which loses at most what was not synced,
// the witness may say less than was answered, never anything false.
type witness struct {
	mu    sync.Mutex
	last  mark     // guarded by mu
	turn  uint64   // guarded by mu; of the next slot to be written
	file  *os.File // nil: nothing outlives the process
	dirty chan struct{}
}

// errDamaged: nobody knows what the witness knew. Repair makes it anew.
var errDamaged = fmt.Errorf("no ledger's witness, or a damaged one, so that nobody knows whether %w", ErrSetBack)

// A slot is a checksum of the rest, its turn, the position, the key's length, and the key.
const (
	slotSize   = 1024
	slotHeader = 4 + 8 + 8 + 8 + 2
)

// openWitness reads what the file remembers, or makes it.
func openWitness(name string) (*witness, error) {
	w := &witness{dirty: make(chan struct{}, 1)}
	if name == "" {
		return w, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger's witness: %w", err)
	}
	content := make([]byte, 2*slotSize+1)
	n, _ := f.ReadAt(content, 0) // what cannot be read is no slot
	broken := n > 0
	for at := range 2 {
		m, turn, ok := decodeSlot(content[at*slotSize : (at+1)*slotSize])
		if !ok {
			continue
		}
		broken = false
		if turn >= w.turn {
			w.last, w.turn = m, turn+1
		}
	}
	if broken {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, errDamaged), f.Close())
	}
	w.file = f
	return w, nil
}

func encodeSlot(m mark, turn uint64) []byte {
	b := make([]byte, 4, slotSize)
	b = binary.BigEndian.AppendUint64(b, turn)
	b = binary.BigEndian.AppendUint64(b, m.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Revision))
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.key)))
	b = append(b, m.key...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b[:slotSize]
}

func decodeSlot(b []byte) (m mark, turn uint64, ok bool) {
	n := int(binary.BigEndian.Uint16(b[slotHeader-2:]))
	if n > slotSize-slotHeader || binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[4:slotHeader+n]) {
		return mark{}, 0, false
	}
	m.Epoch, m.Revision = binary.BigEndian.Uint64(b[12:]), int64(binary.BigEndian.Uint64(b[20:]))
	m.key = string(b[slotHeader : slotHeader+n])
	return m, binary.BigEndian.Uint64(b[4:]), m.Epoch != 0
}

// record remembers a mark, unless a later one of the same epoch is known already. What cannot be written is known to this
// process at least.
func (w *witness) record(m mark) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.Epoch == w.last.Epoch && m.Revision <= w.last.Revision {
		return nil
	}
	w.last = m
	if w.file == nil {
		return nil
	}
	if _, err := w.file.WriteAt(encodeSlot(m, w.turn), int64(w.turn%2)*slotSize); err != nil {
		return fmt.Errorf("writing the ledger's witness: %w", err)
	}
	w.turn++
	select {
	case w.dirty <- struct{}{}:
	default:
	}
	return nil
}

// known is the last mark; its epoch is 0 where there was none.
func (w *witness) known() mark {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// sync has on the disk what was recorded.
func (w *witness) sync() error {
	if w.file == nil {
		return nil
	}
	return w.file.Sync()
}

func (w *witness) close() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}
