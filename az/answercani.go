package az

import (
	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/permission"
	"github.com/meridian-federation/meridian/internal/question"
)

// canI answers whether a call is allowed by the zone's records.
func (z *Zone) canI(q feed.Question, node *question.Node) error {
	req, err := question.Decode[question.CanIRequest](q.Payload)
	if err != nil {
		return err
	}
	node.Verdict, err = permission.Answer(z.mirror.Snapshot(), req.Target, req)
	return err
}
