// Package permission answers, from one tier's records, whether an application may call another: by the policy record of
// the one that is called, which package policy reads, and by what else the records say of the two.
//
// Every tier answers with it, and only tiers import it. Global knows all policies, a region and a zone those of the
// applications that are assigned below them.
package permission
