// Package zonefaults holds a zone of several replicas to its promises while it is broken: three real meridian-zone
// processes on a real etcd serve the real agents of real API servers, under a stream of changes that a real region
// passes on, and are killed, stopped, cut off from each other, from etcd and from the region. After each fault the
// clusters hold what the intent says and nothing was written twice, out of order, or by an owner of the past.
//
// Each replica runs in a network namespace of its own with a leg for each of its relations (store, parent, front,
// gossip); to cut one takes the leg off its bridge, so that packets vanish and nobody is told. The tests run
// themselves again in new namespaces for that, which needs root, or a kernel that lets users make namespaces.
//
// With MERIDIAN_ZONEFAULTS_DIR=FOLDER the logs and the data are kept there. With -short the package is skipped.
//
// Nothing imports it.
package zonefaults
