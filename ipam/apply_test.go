package ipam

import (
	"testing"

	"github.com/meridian-federation/meridian/internal/record"
	"github.com/meridian-federation/meridian/internal/store"
)

// TestApplyTells: only a change of address space has the loop look at the pools.
func TestApplyTells(t *testing.T) {
	of := func(keys ...record.Key) (u store.Update) {
		for _, k := range keys {
			u.Changes = append(u.Changes, store.Change{Key: k})
		}
		return u
	}
	other := record.AllotmentKey("", "", "ipclaim/n/1")
	tests := []struct {
		name   string
		update store.Update
		want   bool
	}{
		{"nothing", of(), false},
		{"another kind", of(other, other), false},
		{"a pool", of(record.PoolKey("pods")), true},
		{"a claim, and then another kind", of(record.ClaimKey("", "", "ipclaim/n/1"), other), true},
		{"a cluster", of(record.ClusterKey("c")), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := New(Config{}).apply(tt.update); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
