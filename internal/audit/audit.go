// Package audit records who did what, and who was refused: enrolments, refusals, revocations, overrides, confirmations
// and changes of specs, one JSON object on each line.
//
//	{"time":…,"place":"global","action":"enrol","actor":"10.0.0.7:4242","subject":"region/west","result":"refused",
//	 "reason":"the token has expired","detail":{"token":"k3x9qa"}}
//
// An event is never lost silently: what cannot be written to the file goes to the process' log, and refusals past the
// bound of their action, which a stranger could otherwise use to have the rest rotated away, are counted in the next one
// that is written. Callers put no secret into an event.
//
// Every cmd and tier may import audit; it knows none of them.
package audit

import (
	"context"
	"log/slog"
	"strings"
	"time"
)

// Action is what was done, or asked for.
type Action string

// The actions that are recorded.
const (
	Enrol           Action = "enrol"
	Renew           Action = "renew" // refusals only
	Redeem          Action = "redeem"
	TokenCreate     Action = "token.create"
	TokenRevoke     Action = "token.revoke"
	PeerRefused     Action = "peer.refused"
	PlaceRevoked    Action = "place.revoked"
	Confirm         Action = "confirm"
	Override        Action = "override"
	AuthorityRotate Action = "authority.rotate"
	AuthorityAdopt  Action = "authority.adopt"
	Ask             Action = "ask" // refusals only
	SpecChange      Action = "spec.change"
	SpaceRepair     Action = "ipam.repair"
	SpaceReclaim    Action = "ipam.reclaim"
)

// Result is how it ended.
type Result string

// What may become of an action: it was let through and goes on, it was refused and had no effect, or it is done.
const (
	Allowed Result = "allowed"
	Refused Result = "refused"
	Done    Result = "done"
)

// Event is one thing that happened.
type Event struct {
	Action Action
	// Actor is who did it, or tried to: a SPIFFE id, a user's name, or where nobody is known the address.
	Actor string
	// Subject is what it was done to: a place, a token's id, namespace/name of a resource.
	Subject string
	Result  Result
	// Reason is why it was refused, or what a person gave as the reason.
	Reason string
	Attrs  []slog.Attr
}

// longest bounds each text of an event, in bytes: much of it is what a peer said.
const longest = 1024

// record makes the event a log record. Attrs are in a group of their own, so that none passes for another field.
func (e Event) record(now time.Time, suppressed int64) slog.Record {
	r := slog.NewRecord(now, e.level(), message, 0)
	r.AddAttrs(slog.String("action", string(e.Action)), slog.String("actor", cut(e.Actor)),
		slog.String("subject", cut(e.Subject)), slog.String("result", string(e.Result)))
	if e.Reason != "" {
		r.AddAttrs(slog.String("reason", cut(e.Reason)))
	}
	if len(e.Attrs) > 0 {
		detail := make([]slog.Attr, len(e.Attrs))
		for i, a := range e.Attrs {
			detail[i] = slog.Attr{Key: a.Key, Value: cutValue(a.Value)}
		}
		r.AddAttrs(slog.GroupAttrs("detail", detail...))
	}
	if suppressed > 0 {
		r.AddAttrs(slog.Int64("suppressed", suppressed))
	}
	return r
}

// level matters in the process' log alone.
func (e Event) level() slog.Level {
	if e.Result == Refused {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func cutValue(v slog.Value) slog.Value {
	if v = v.Resolve(); v.Kind() == slog.KindString {
		return slog.StringValue(cut(v.String()))
	}
	return v
}

func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}

// Discard records nothing; it is for tests.
var Discard *Log

// Record writes the event. It does not fail: see the package comment. ctx carries what the handlers of the process' log
// take from it.
func (l *Log) Record(ctx context.Context, e Event) {
	if l == nil {
		return
	}
	l.events.WithLabelValues(string(e.Action), string(e.Result)).Inc()
	suppressed, ok := l.bounds.pass(e)
	if !ok {
		return
	}
	r := e.record(time.Now(), suppressed)
	err := l.handler.Handle(ctx, r)
	if err == nil {
		return
	}
	l.failures.Inc()
	l.log.Error("an audit event cannot be written where it belongs", "error", err)
	_ = l.log.Handler().Handle(ctx, r)
}
