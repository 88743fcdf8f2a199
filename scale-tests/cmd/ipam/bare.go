package main

import (
	"context"
	"errors"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// reference are bare transactions of the size of one allocation: the same comparisons, and puts of keys and values as long
// as those that the ledger wrote for one.
type reference struct {
	client *clientv3.Client
	fence  clientv3.Cmp
	// puts are those of one allocation. The last digits of their keys are replaced by a number.
	puts []put
}

// put is one write: a key as long as before and digits is made of its head.
type put struct {
	head  string
	value string
}

// digits are those of the number in a key.
const digits = 9

// newBare makes one allocation, and takes over what it wrote.
func newBare(ctx context.Context, h *holding) (*reference, error) {
	entry, err := h.Allocate(ctx, request(1<<28))
	if err != nil {
		return nil, err
	}
	wrote, err := h.client.Get(ctx, h.prefix, clientv3.WithPrefix(), clientv3.WithMinModRev(entry.Revision), clientv3.WithMaxModRev(entry.Revision))
	if err != nil {
		return nil, fmt.Errorf("reading what an allocation wrote: %w", err)
	}
	r := &reference{client: h.client}
	for _, kv := range wrote.Kvs {
		key := prefixOf(bare) + string(kv.Key[len(h.prefix):])
		if len(key) < len(prefixOf(bare))+digits {
			return nil, fmt.Errorf("the ledger wrote %s, whose key is too short to be numbered", kv.Key)
		}
		r.puts = append(r.puts, put{head: key[:len(key)-digits], value: string(kv.Value)})
	}
	if len(r.puts) == 0 {
		return nil, fmt.Errorf("nothing in %s has revision %d, which the allocation has", h.prefix, entry.Revision)
	}
	key := prefixOf(bare) + "/fence"
	held, err := h.client.Put(ctx, key, "")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", key, err)
	}
	r.fence = clientv3.Compare(clientv3.ModRevision(key), "=", held.Header.Revision)
	return r, nil
}

// do is one transaction: the fence holds, none of the keys is there, all are written.
func (r *reference) do(ctx context.Context, n int) error {
	compares := []clientv3.Cmp{r.fence}
	var ops []clientv3.Op
	for _, p := range r.puts {
		key := fmt.Sprintf("%s%0*d", p.head, digits, n)
		compares = append(compares, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
		ops = append(ops, clientv3.OpPut(key, p.value))
	}
	answer, err := r.client.Txn(ctx).If(compares...).Then(ops...).Commit()
	if err == nil && !answer.Succeeded {
		err = errors.New("a bare transaction found its keys written")
	}
	return err
}
