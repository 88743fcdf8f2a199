package global

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/question"
)

// confirm has Global, or a node below, go on with what it held back or refused.
func (g *Global) confirm(ctx context.Context, by string, local question.Node, payload []byte) ([]byte, error) {
	request, err := question.Decode[question.ConfirmRequest](payload)
	if err != nil {
		return nil, err
	}
	if err := request.Validate(); err != nil {
		return nil, err
	}
	region, below := request.Target.Child(question.TierGlobal)
	if below {
		local = question.Gather(ctx, local, g.children([]string{region}), question.KindConfirm, payload)
	} else {
		local.Confirmed, err = g.confirmHere(ctx, request.What)
	}
	event := audit.Event{Action: audit.Confirm, Actor: by, Subject: request.Target.String(), Result: audit.Done,
		Attrs: []slog.Attr{slog.String("what", request.What)}}
	switch node := local.At(request.Target); {
	case err != nil:
		event.Result, event.Reason = audit.Refused, err.Error()
	case node == nil || len(node.Confirmed) == 0: // it was handed on, and what came of it is not known here
		event.Result = audit.Allowed
	}
	g.deps.Audit.Record(ctx, event)
	if err != nil {
		return nil, err
	}
	return question.Encode(local)
}

// confirmHere carries out an operator's confirmation at Global itself.
func (g *Global) confirmHere(ctx context.Context, what string) ([]string, error) {
	writer := g.writer.Load()
	if writer == nil {
		return nil, fmt.Errorf("%w: this replica of Global does not lead; ask another", question.ErrInvalid)
	}
	switch what {
	case question.WhatIdentity:
		if stranger, _ := g.identity.mismatch(); stranger == "" {
			return nil, fmt.Errorf("%w: the hub's API server is the one expected; nothing waits for this", question.ErrInvalid)
		}
		g.guard.doubts(true) // before its resources are looked at
		g.identity.confirm()
		if err := g.remember(ctx, writer, map[string][]byte{metaDoubt: []byte("1")}); err != nil {
			return nil, err
		}
		if err := g.advertise(ctx); err != nil {
			g.log.Warn("advertising Global at the hub that was confirmed", "error", err)
		}
		return []string{"the hub's API server is now the one with kube-system " + g.identity.known()}, nil
	case question.WhatRemovals:
		n := len(g.guard.list())
		if n == 0 && !g.guard.doubtful() {
			return nil, fmt.Errorf("%w: no removal is held back here", question.ErrInvalid)
		}
		if err := g.remember(ctx, writer, map[string][]byte{metaDoubt: nil}); err != nil {
			return nil, err
		}
		g.queue.add(func(w *work) { w.confirmed = true })
		return []string{fmt.Sprintf("%d held removals go on", n)}, nil
	default:
		return nil, fmt.Errorf("%w: Global has no parent, so there is no %s to confirm; it has %s and %s",
			question.ErrInvalid, what, question.WhatIdentity, question.WhatRemovals)
	}
}
