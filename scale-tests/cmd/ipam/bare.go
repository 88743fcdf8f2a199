package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// reference are bare transactions of the size of one allocation: the same comparisons, of keys as long and as often used,
// and puts of keys and values as long as those that the ledger wrote for one.
//
//	comparison                          key, in the ledger       here
//	the fence is as it was opened       the block's              one like it, with a value as long
//	the last change is there            of the last one done     likewise
//	nobody has it (one for each put)    the entry's, the owner's each key that is put
type reference struct {
	client *clientv3.Client
	fence  clientv3.Cmp
	// puts are those of one allocation. The last digits of their keys are replaced by a number.
	puts []put
	last atomic.Pointer[change]
}

// put is one write: a key as long as before and digits is made of its head.
type put struct {
	head  string
	value string
}

// change is one that was answered, and a key that it wrote.
type change struct {
	key      string
	revision int64
}

// digits are those of the number in a key.
const digits = 9

// newBare makes one allocation, and takes over what it wrote.
func newBare(ctx context.Context, h *holding) (*reference, error) {
	r := &reference{client: h.client}
	if err := r.takeFence(ctx, h); err != nil {
		return nil, err
	}
	entry, err := h.Allocate(ctx, request(1<<28))
	if err != nil {
		return nil, err
	}
	wrote, err := h.client.Get(ctx, h.prefix, clientv3.WithPrefix(), clientv3.WithMinModRev(entry.Revision), clientv3.WithMaxModRev(entry.Revision))
	if err != nil {
		return nil, fmt.Errorf("reading what an allocation wrote: %w", err)
	}
	for _, kv := range wrote.Kvs {
		key := ownKey(h, kv)
		if len(key) < len(prefixOf(bare))+digits {
			return nil, fmt.Errorf("the ledger wrote %s, whose key is too short to be numbered", kv.Key)
		}
		r.puts = append(r.puts, put{head: key[:len(key)-digits], value: string(kv.Value)})
	}
	if len(r.puts) == 0 {
		return nil, fmt.Errorf("nothing in %s has revision %d, which the allocation has", h.prefix, entry.Revision)
	}
	return r, nil
}

// ownKey is a ledger's key under the reference's prefix, which is as long.
func ownKey(h *holding, kv *mvccpb.KeyValue) string {
	return prefixOf(bare) + string(kv.Key[len(h.prefix):])
}

// takeFence writes a key like that of the ledger's block. It is the last change, too, until there is one.
func (r *reference) takeFence(ctx context.Context, h *holding) error {
	blocks, err := h.client.Get(ctx, h.prefix+"/space/blocks/", clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("reading the ledger's block: %w", err)
	}
	if len(blocks.Kvs) != 1 {
		return fmt.Errorf("%s has %d blocks, want 1", h.prefix, len(blocks.Kvs))
	}
	key := ownKey(h, blocks.Kvs[0])
	held, err := h.client.Put(ctx, key, string(blocks.Kvs[0].Value))
	if err != nil {
		return fmt.Errorf("writing %s: %w", key, err)
	}
	r.fence = is(key, held.Header.Revision)
	r.last.Store(&change{key, held.Header.Revision})
	return nil
}

// is holds while a key has a modification revision, 0 while there is none.
func is(key string, revision int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(key), "=", revision)
}

// do is one transaction: the fence holds, the last change is there, none of the keys is, and all are written.
func (r *reference) do(ctx context.Context, n int) error {
	last := r.last.Load()
	compares := []clientv3.Cmp{r.fence}
	var ops []clientv3.Op
	for _, p := range r.puts {
		key := fmt.Sprintf("%s%0*d", p.head, digits, n)
		compares = append(compares, is(key, 0))
		ops = append(ops, clientv3.OpPut(key, p.value))
	}
	answer, err := r.client.Txn(ctx).If(append(compares, is(last.key, last.revision))...).Then(ops...).Commit()
	if err != nil {
		return err
	}
	if !answer.Succeeded {
		return errors.New("a bare transaction found its keys written")
	}
	r.done(&change{string(ops[0].KeyBytes()), answer.Header.Revision})
	return nil
}

// done remembers the last change.
func (r *reference) done(c *change) {
	for last := r.last.Load(); c.revision > last.revision && !r.last.CompareAndSwap(last, c); last = r.last.Load() {
	}
}
