// Package config loads the configuration of every binary: one struct, filled from a file, from MERIDIAN_* variables
// and from flags, where a flag wins over a variable and a variable over the file.
//
// A field's Go name is its only name: DataDir in the nested struct Etcd is etcd.dataDir in the file,
// MERIDIAN_ETCD_DATA_DIR in the environment and --etcd-data-dir on the command line. A zero field means its default,
// which the struct's Default method fills in and says why. A key in the file that no field has is refused, so that a
// misspelt setting is never silently without effect. Validate joins all that is wrong, so that it is mended in one go.
//
// Every binary and tier may import config; it knows none of them.
package config
