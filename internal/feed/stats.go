package feed

import "sync/atomic"

// Stats counts what the sessions that share it do. Gauges go up and down, the rest only grows. The zero Stats is ready.
type Stats struct {
	// Sessions is the gauge of live sessions, Pending that of keys that wait to be sent.
	Sessions, Pending atomic.Int64

	// What was sent, in batches; Bytes is the content of records.
	BatchesSent, RecordsSent, RemovalsSent, BytesSent atomic.Int64
	// AckedBatches and AckNanos give the mean time from sending a batch until it had taken effect at the peer.
	AckedBatches, AckNanos atomic.Int64
	// What came and was passed on to be applied.
	BatchesReceived, RecordsReceived, RemovalsReceived atomic.Int64

	// Comparisons that were begun. Differences are keys that a new or confirmed session found to differ; Mismatches
	// those that a repeated comparison found between two ends that should have agreed. Both are repaired by sending.
	Comparisons, Differences, Mismatches atomic.Int64
	// Refusals given, removals held back by the guard, records rejected by the holder here.
	Refusals, HeldBack, Rejections atomic.Int64
	// Questions asked, and those among them that were not answered in time.
	Questions, Unanswered atomic.Int64
}
