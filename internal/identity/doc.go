// Package identity is who a process is and whom it believes: SPIFFE identities that spell places in the tree, the
// certificates that prove them, the authority that issues these, and mutual TLS made of both.
//
//	spiffe://TRUST-DOMAIN                       the root: self-signed, made by Global's first process
//	  └─ CA of global                           each process of a tier has one of its own, with a key that never leaves it
//	       └─ CA of region/R
//	            └─ CA of region/R/zone/Z ──────── leaf spiffe://TRUST-DOMAIN/region/R/zone/Z, short-lived, issued by itself
//	                 └─ leaf spiffe://TRUST-DOMAIN/region/R/zone/Z/cluster/C, an agent's
//
// X.509 cannot constrain the path of a URI. So a CA certificate says its place in its subject (O=meridian, CN=PATH), and
// every verifier holds the leaf's path against every CA above it: it must lie at or under the place of each (rule). CAs of
// an outside authority say no place and bound nothing.
//
// The subject's serial number is the generation of the place (decimal). A place that is enrolled anew, or removed, gets a
// higher one, and verifiers refuse what is below the lowest that they know of (Lowest): of the leaf's place, and of every
// CA's, so that all that was signed below a revoked place goes with it.
//
// A certificate never outlives the one that it was issued by. The root is sent along in the TLS chain, so that a newcomer
// can hold it against the pin that it was given.
//
// A server asks for a certificate and verifies one that has a URI. Without one a connection stands, and PeerOf says
// ErrNoCertificate: each call decides, since newcomers have none, and people at Global have other kinds.
//
// Every tier and cmd may import identity; it knows none of them. Package question must not import it.
package identity
