package feed

import "github.com/meridian-federation/meridian/internal/record"

// Corrupt makes the ledger hold what nobody sent.
func (l *Ledger) Corrupt(kv record.KeyVersion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table.note(kv.Key, kv.Version)
}
