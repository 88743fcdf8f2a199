package global

import (
	"encoding/json"
	"testing"

	"github.com/meridian-federation/meridian/internal/question"
)

// kinds are all that people can ask.
var kinds = []string{question.KindApplication, question.KindOverview, question.KindCanI, question.KindExport, question.KindConfirm,
	question.KindTokenCreate, question.KindTokenList, question.KindTokenRevoke, question.KindRotate, "another"}

// FuzzRight looks for a question whose right is wider than what it asks for: one that names no namespace, or no object,
// where the question has one.
func FuzzRight(f *testing.F) {
	for i, payload := range []any{
		question.ApplicationRequest{Namespace: "shop", Name: "cart"}, question.OverviewRequest{},
		question.CanIRequest{Caller: question.ApplicationRequest{Namespace: "a", Name: "b"}, Provider: question.ApplicationRequest{Namespace: "c", Name: "d"}},
		question.ExportRequest{Cluster: "a1"}, question.ConfirmRequest{What: question.WhatFloor, Target: question.Path{Region: "west"}},
		question.TokenRequest{}, question.TokenListRequest{}, question.TokenRevokeRequest{ID: "abcdef"}, question.RotateRequest{}, nil,
	} {
		b, err := json.Marshal(payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, b)
	}
	f.Fuzz(func(t *testing.T, i int, payload []byte) {
		if i < 0 || i >= len(kinds) {
			return
		}
		right, err := rightFor(kinds[i], payload)
		if err != nil {
			return
		}
		if right.Verb == "" || right.Resource == "" {
			t.Errorf("%s %q: the right is %+v, which is none", kinds[i], payload, right)
		}
		switch kinds[i] {
		case question.KindApplication:
			if right.Namespace == "" || right.Name == "" {
				t.Errorf("%q: the right to %s is for more than one application", payload, right)
			}
		case question.KindCanI:
			if right.Namespace == "" {
				t.Errorf("%q: the right to %s is for all namespaces", payload, right)
			}
		case question.KindExport, question.KindTokenRevoke:
			if right.Name == "" {
				t.Errorf("%q: the right to %s names nothing", payload, right)
			}
		}
	})
}
