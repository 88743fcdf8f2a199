// Package cli is the command meridian: what people do with resources at Global (apply, get, describe, delete) and what
// they ask of the tree (status, trace, confirm, policy can-i, export).
//
// One file is one command. Commands fetch; package render writes. The resources are reached as kubectl reaches them, by
// kubeconfig and context; questions go to the hub that Global serves, whose address Global keeps beside the resources.
// Only cmd/meridian imports cli.
package cli
