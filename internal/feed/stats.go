package feed

import "sync/atomic"

// Stats counts what the sessions that share it do. Gauges go up and down, the rest only grows. The zero Stats is ready.
type Stats struct {
	// Sessions is the gauge of live sessions, Pending that of keys that wait to be sent.
	Sessions, Pending atomic.Int64

	// What was sent, in batches; Bytes is the content of records.
	BatchesSent, RecordsSent, RemovalsSent, BytesSent atomic.Int64
	// BatchRecords are the records and removals of each batch sent, Acknowledgements the times from sending a batch
	// until it had taken effect at the peer.
	BatchRecords     Sizes
	Acknowledgements Latencies
	// What came and was passed on to be applied.
	BatchesReceived, RecordsReceived, RemovalsReceived, BytesReceived atomic.Int64

	// Comparisons that were begun. Differences are keys that a new or confirmed session found to differ; Mismatches
	// those that a repeated comparison found between two ends that should have agreed, Repairs those among them that
	// were sent and settled since.
	Comparisons, Differences, Mismatches, Repairs atomic.Int64
	// Refusals given here, FencesRefused those among them that a fence was too low; Refused are those met at peers.
	Refusals, FencesRefused, Refused atomic.Int64
	// Removals held back by the guard, records rejected by the holder here.
	HeldBack, Rejections atomic.Int64
	// Questions asked, and those among them that were not answered in time.
	Questions, Unanswered atomic.Int64

	// Redirects are sessions that ended with one: given to a child, or followed to a parent.
	Redirects atomic.Int64
	// Waiting is the gauge of children that wait in line; Admitted are those that were let in, after the times in
	// Admissions, TurnedAway those for whom there was no room in the line.
	Waiting, Admitted, TurnedAway atomic.Int64
	Admissions                    Latencies
}
