package global

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/identity"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// createToken answers with a token for a place. Its secret is told here and nowhere else.
func (g *Global) createToken(ctx context.Context, by string, payload []byte) (*question.IssuedToken, error) {
	request, err := question.Decode[question.TokenRequest](payload)
	if err != nil {
		return nil, err
	}
	token, kept, err := g.register.Create(ctx, request, by)
	event := audit.Event{Action: audit.TokenCreate, Actor: by, Subject: request.Target.String(), Result: audit.Done}
	if err != nil {
		event.Result, event.Reason = audit.Refused, err.Error()
		g.deps.Audit.Record(ctx, event)
		return nil, err
	}
	event.Attrs = []slog.Attr{slog.String("token", token.ID), slog.String("mode", request.Mode), slog.Int("uses", int(request.Uses)),
		slog.Time("expires", kept.Expires)}
	g.deps.Audit.Record(ctx, event)
	out := &question.IssuedToken{Token: described(kept), Text: token.Text(), TrustDomain: g.deps.Identity.TrustDomain().Name()}
	for _, root := range g.deps.Identity.Roots() {
		out.Pins = append(out.Pins, identity.Pin(root))
	}
	return out, nil
}

// described is what people see of a token.
func described(t record.Token) question.Token {
	target, _ := question.ParsePath(t.Path) // it was checked when the token was made
	return question.Token{ID: t.ID, Target: target, Mode: string(t.Mode), Used: int32(len(t.Spent)), Uses: t.Uses,
		Expires: t.Expires, CreatedBy: t.CreatedBy, Created: t.Created}
}

// listTokens adds to the answer the tokens that are out, as many as fit.
func (g *Global) listTokens(to *question.Node) {
	all := g.register.Tokens()
	if left := len(all) - question.MaxTokensListed; left > 0 {
		to.Omitted = fmt.Sprintf("%d more tokens are not listed", left)
		all = all[:question.MaxTokensListed]
	}
	to.Tokens = make([]question.Token, 0, len(all))
	for _, t := range all {
		to.Tokens = append(to.Tokens, described(t))
	}
}

// revokeToken drops a token.
func (g *Global) revokeToken(ctx context.Context, by string, payload []byte) ([]string, error) {
	request, err := question.Decode[question.TokenRevokeRequest](payload)
	if err != nil {
		return nil, err
	}
	event := audit.Event{Action: audit.TokenRevoke, Actor: by, Subject: request.ID, Result: audit.Done}
	if err := g.register.Revoke(ctx, request.ID); err != nil {
		event.Result, event.Reason = audit.Refused, err.Error()
		g.deps.Audit.Record(ctx, event)
		return nil, err
	}
	g.deps.Audit.Record(ctx, event)
	return []string{"token " + request.ID + " is revoked"}, nil
}

// Redeem spends a use of a token, for the authority that enrols newcomers here or asks for a child. It implements
// identity.Redeemer.
func (g *Global) Redeem(ctx context.Context, token string, path question.Path, keyHash [32]byte) (uint64, error) {
	generation, err := g.register.Redeem(ctx, token, path, keyHash)
	event := audit.Event{Action: audit.Redeem, Actor: addressOf(ctx), Subject: path.String(), Result: audit.Done,
		Attrs: []slog.Attr{slog.String("key", hex.EncodeToString(keyHash[:]))}}
	if peer, err := identity.PeerOf(ctx); err == nil {
		event.Actor = peer.Path.String()
	}
	if t, err := identity.ParseToken(token); err == nil {
		event.Attrs = append(event.Attrs, slog.String("token", t.ID))
	}
	switch {
	case errors.Is(err, identity.ErrRefused):
		event.Result, event.Reason = audit.Refused, err.Error()
	case err != nil:
		return 0, err // it is asked again
	}
	event.Attrs = append(event.Attrs, slog.Uint64("generation", generation))
	g.deps.Audit.Record(ctx, event)
	return generation, err
}
