// Package record defines what travels between tiers and is kept in their stores: records.
//
// A record is a key (kind and name), a version (a 128-bit hash of its content) and content (protobuf). Equal content
// has an equal version, so writing it again changes nothing downstream. Each kind has exactly one writer. A kind that
// this release does not know is kept and handed on as it came.
//
// The model types here (Revision, Service, Cluster, Assignment, Binding, Status, Health) are what the tiers work with;
// the generated messages in recordpb stay behind Encode and Decode. Every package may import record; record knows no
// tier, no store and no transport.
package record
