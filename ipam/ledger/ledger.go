package ledger

import (
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Config says where a ledger is.
type Config struct {
	Client *clientv3.Client
	// Prefix is the tier's, in etcd's keys.
	Prefix string
	// Witness is a file of this process alone, in which it remembers what it has written, so that it notices when etcd was
	// set back to before that. Empty: nothing remembers it beyond this Ledger.
	Witness string
	// Batch is how many changes go in one transaction at most, where many wait; 1 is none with another. Default and most
	// are what etcd's 128 operations allow.
	Batch int
	// Now is the clock of quarantines. Default time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Ledger is one process's hold on the ledger, until it is closed or another process opens it. It is safe for concurrent use.
type Ledger struct{}
