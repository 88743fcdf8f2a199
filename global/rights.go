package global

import (
	"fmt"

	"github.com/meridian-federation/meridian/internal/asker"
	"github.com/meridian-federation/meridian/internal/question"
)

// rightFor is the right at the hub that a question needs. A question that nobody can answer is refused: a right that names
// nothing would be another one.
func rightFor(kind string, payload []byte) (asker.Right, error) {
	switch kind {
	case question.KindApplication:
		r, err := question.Decode[question.ApplicationRequest](payload)
		if err == nil {
			err = r.Validate()
		}
		return asker.Right{Verb: "get", Resource: "applications", Namespace: r.Namespace, Name: r.Name}, err
	case question.KindOverview:
		return asker.Right{Verb: "list", Resource: "clusters"}, nil
	case question.KindCanI:
		r, err := question.Decode[question.CanIRequest](payload)
		if err == nil {
			err = r.Validate()
		}
		return asker.Right{Verb: "get", Resource: "accesspolicies", Namespace: r.Provider.Namespace}, err
	case question.KindExport:
		r, err := question.Decode[question.ExportRequest](payload)
		if err == nil {
			err = r.Validate()
		}
		return asker.Right{Verb: "get", Resource: "clusters", Subresource: "export", Name: r.Cluster}, err
	case question.KindConfirm:
		r, err := question.Decode[question.ConfirmRequest](payload)
		if err == nil {
			err = r.Validate()
		}
		return asker.Right{Verb: "update", Resource: "clusters", Subresource: "confirm", Name: r.Target.Cluster}, err
	case question.KindTokenCreate:
		return asker.Right{Verb: "create", Resource: "enrollmenttokens"}, nil
	case question.KindTokenList:
		return asker.Right{Verb: "list", Resource: "enrollmenttokens"}, nil
	case question.KindTokenRevoke:
		r, err := question.Decode[question.TokenRevokeRequest](payload)
		if err == nil {
			err = r.Validate()
		}
		return asker.Right{Verb: "delete", Resource: "enrollmenttokens", Name: r.ID}, err
	case question.KindRotate:
		return asker.Right{Verb: "update", Resource: "certificateauthorities"}, nil
	default:
		return asker.Right{}, fmt.Errorf("%w: unknown question %q", question.ErrInvalid, kind)
	}
}
