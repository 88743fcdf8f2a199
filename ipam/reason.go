package ipam

// The reasons of allotments that give their owner nothing.
const (
	// ReasonPoolExhausted: nothing free is large enough, and there is nobody to ask for more.
	ReasonPoolExhausted = "PoolExhausted"
	// ReasonWaiting: nothing free here is large enough; more was asked of the place above.
	ReasonWaiting = "Waiting"
	// ReasonPoolNotFound: there is no pool of the claim's name.
	ReasonPoolNotFound = "PoolNotFound"
	// ReasonNoPool: no pool is of the claim's purpose, network and family, or none is handed down to its place.
	ReasonNoPool = "NoPool"
	// ReasonPrefixTaken: somebody else has the prefix that the claim asks for, or some of it.
	ReasonPrefixTaken = "PrefixTaken"
	// ReasonTooLarge: no range of the pool is as large as what is claimed.
	ReasonTooLarge = "TooLarge"
	// ReasonOutsidePool: the prefix that the claim asks for is not in the pool, or not in what its place holds of it.
	ReasonOutsidePool = "OutsidePool"
	// ReasonInvalid: no ledger could meet the claim; the message names the field.
	ReasonInvalid = "Invalid"
	// ReasonStoreSetBack: the ledger refuses to work, since its etcd was set back to before what it had written. A Tier does
	// not run then; whoever failed to open the ledger says it. Or the place was given prefixes of the pool that another store of it
	// held, which is lost.
	ReasonStoreSetBack = "StoreSetBack"
)
