package global

import (
	"errors"
	"testing"

	"github.com/meridian-federation/meridian/internal/audit"
	"github.com/meridian-federation/meridian/internal/audit/audittest"
	"github.com/meridian-federation/meridian/internal/question"
)

// TestSpaceAudited records what changes address space, with what came of it, and nothing else.
func TestSpaceAudited(t *testing.T) {
	west := func(n question.Node) question.Node {
		n.Tier, n.Name = question.TierRegion, "west"
		return question.Node{Tier: question.TierGlobal, Children: []question.Node{n}}
	}
	checked := question.Node{Space: &question.Space{Check: &question.SpaceCheck{}}}
	for _, tt := range []struct {
		name, kind, payload string
		answer              question.Node
		err                 error
		want                audittest.Event
	}{
		{"a check", question.KindIPAMCheck, `{"target":"region/west"}`, west(checked), nil, audittest.Event{}},
		{"a look", question.KindIPAMShow, `{}`, west(question.Node{}), nil, audittest.Event{}},
		{"a repair", question.KindIPAMCheck, `{"target":"region/west","repair":true}`, west(checked), nil,
			audittest.Event{Action: audit.SpaceRepair, Subject: "region/west", Result: audit.Done}},
		{"a repair that nobody answered", question.KindIPAMCheck, `{"target":"region/west","repair":true}`, west(question.Node{Unanswered: "gone"}), nil,
			audittest.Event{Action: audit.SpaceRepair, Subject: "region/west", Result: audit.Allowed}},
		{"a reclaim", question.KindIPAMReclaim, `{"target":"region/west/zone/a"}`, west(question.Node{Confirmed: []string{"done"}}), nil,
			audittest.Event{Action: audit.SpaceReclaim, Subject: "region/west/zone/a", Result: audit.Done}},
		{"a reclaim that was handed on", question.KindIPAMReclaim, `{"target":"region/west/zone/a"}`, west(question.Node{}), nil,
			audittest.Event{Action: audit.SpaceReclaim, Subject: "region/west/zone/a", Result: audit.Allowed}},
		{"a reclaim refused", question.KindIPAMReclaim, `{"target":"region/west"}`, west(question.Node{}), errors.New("it is connected"),
			audittest.Event{Action: audit.SpaceReclaim, Subject: "region/west", Result: audit.Refused, Reason: "it is connected"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trail := &audittest.Recorder{}
			g := &Global{deps: Deps{Audit: trail.Log()}}
			g.recordSpace(t.Context(), "anna", tt.kind, []byte(tt.payload), &tt.answer, tt.err)
			var got audittest.Event
			if events := trail.Events(""); len(events) > 0 {
				got = events[0]
			}
			if tt.want.Action != "" {
				tt.want.Actor = "anna"
			}
			if got.Action != tt.want.Action || got.Actor != tt.want.Actor || got.Subject != tt.want.Subject || got.Result != tt.want.Result || got.Reason != tt.want.Reason {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
