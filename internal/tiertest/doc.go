// Package tiertest gives tests of regions and zones their neighbours: a Parent that sends what a test puts into its
// Outbox, and Children that hold what they are sent and report on it. Both speak the real protocol over loopback; what
// they do with records is only to keep them. Tests alone import it.
package tiertest
