package global

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/question"
)

// kinds are all that people can ask.
var kinds = []string{question.KindApplication, question.KindOverview, question.KindCanI, question.KindExport, question.KindConfirm,
	question.KindTokenCreate, question.KindTokenList, question.KindTokenRevoke, question.KindRotate, question.KindIPAMShow,
	question.KindIPAMFind, question.KindIPAMCheck, question.KindIPAMReclaim, question.KindIPAMExport, "another"}

// FuzzRight looks for a question whose right is wider than what it asks for: one that names no namespace, or no object,
// where the question has one.
func FuzzRight(f *testing.F) {
	for i, payload := range []any{
		question.ApplicationRequest{Namespace: "shop", Name: "cart"}, question.OverviewRequest{},
		question.CanIRequest{Caller: question.ApplicationRequest{Namespace: "a", Name: "b"}, Provider: question.ApplicationRequest{Namespace: "c", Name: "d"}},
		question.ExportRequest{Cluster: "a1"}, question.ConfirmRequest{What: question.WhatFloor, Target: question.Path{Region: "west"}},
		question.TokenRequest{}, question.TokenListRequest{}, question.TokenRevokeRequest{ID: "abcdef"}, question.RotateRequest{},
		question.IPAMShowRequest{Pool: "pods"}, question.IPAMFindRequest{Prefix: netip.MustParsePrefix("10.0.0.1/32")},
		question.IPAMCheckRequest{Repair: true}, question.IPAMReclaimRequest{Target: question.Path{Region: "west"}},
		question.IPAMExportRequest{}, nil,
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
		case question.KindIPAMCheck, question.KindIPAMReclaim:
			check, _ := question.Decode[question.IPAMCheckRequest](payload)
			if (check.Repair || kinds[i] == question.KindIPAMReclaim) && right.Verb != "update" {
				t.Errorf("%q: the right to %s is too little for a change", payload, right)
			}
		}
	})
}

func TestSpaceRight(t *testing.T) {
	for _, tt := range []struct{ kind, payload, want string }{
		{question.KindIPAMShow, `{}`, "list ippools"},
		{question.KindIPAMShow, `{"pool":"pods"}`, "get ippools pods"},
		{question.KindIPAMFind, `{"prefix":"10.0.0.1/32"}`, "list ippools"},
		{question.KindIPAMFind, `{}`, "error"},
		{question.KindIPAMCheck, `{"target":"global"}`, "list ippools"},
		{question.KindIPAMCheck, `{"target":"region/west","repair":true}`, "update ippools"},
		{question.KindIPAMCheck, `{"target":"nowhere"}`, "error"},
		{question.KindIPAMReclaim, `{"target":"region/west"}`, "update ippools"},
		{question.KindIPAMReclaim, `{"target":"global"}`, "error"},
		{question.KindIPAMExport, `{"target":"global"}`, "list ippools"},
	} {
		t.Run(tt.kind+tt.payload, func(t *testing.T) {
			right, err := rightFor(tt.kind, []byte(tt.payload))
			got := strings.TrimSpace(right.Verb + " " + right.Resource + " " + right.Name)
			if err != nil {
				got = "error"
			}
			if got != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}
