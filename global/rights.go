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
		r, err := valid[question.ApplicationRequest](payload)
		return asker.Right{Verb: "get", Resource: "applications", Namespace: r.Namespace, Name: r.Name}, err
	case question.KindOverview:
		return asker.Right{Verb: "list", Resource: "clusters"}, nil
	case question.KindCanI:
		r, err := valid[question.CanIRequest](payload)
		return asker.Right{Verb: "get", Resource: "accesspolicies", Namespace: r.Provider.Namespace}, err
	case question.KindExport:
		r, err := valid[question.ExportRequest](payload)
		return asker.Right{Verb: "get", Resource: "clusters", Subresource: "export", Name: r.Cluster}, err
	case question.KindConfirm:
		r, err := valid[question.ConfirmRequest](payload)
		return asker.Right{Verb: "update", Resource: "clusters", Subresource: "confirm", Name: r.Target.Cluster}, err
	case question.KindTokenCreate:
		return asker.Right{Verb: "create", Resource: "enrollmenttokens"}, nil
	case question.KindTokenList:
		return asker.Right{Verb: "list", Resource: "enrollmenttokens"}, nil
	case question.KindTokenRevoke:
		r, err := valid[question.TokenRevokeRequest](payload)
		return asker.Right{Verb: "delete", Resource: "enrollmenttokens", Name: r.ID}, err
	case question.KindRotate:
		return asker.Right{Verb: "update", Resource: "certificateauthorities"}, nil
	default:
		return spaceRight(kind, payload)
	}
}

// spaceRight is the right for a question about address space. What is seen names owners of all tenants, so it needs the
// right to all pools, but for one pool's usage.
func spaceRight(kind string, payload []byte) (asker.Right, error) {
	look, change := asker.Right{Verb: "list", Resource: "ippools"}, asker.Right{Verb: "update", Resource: "ippools"}
	switch kind {
	case question.KindIPAMShow:
		r, err := question.Decode[question.IPAMShowRequest](payload)
		if r.Pool != "" {
			return asker.Right{Verb: "get", Resource: "ippools", Name: r.Pool}, err
		}
		return look, err
	case question.KindIPAMFind:
		_, err := valid[question.IPAMFindRequest](payload)
		return look, err
	case question.KindIPAMCheck:
		r, err := valid[question.IPAMCheckRequest](payload)
		if r.Repair {
			return change, err
		}
		return look, err
	case question.KindIPAMReclaim:
		_, err := valid[question.IPAMReclaimRequest](payload)
		return change, err
	case question.KindIPAMExport:
		_, err := valid[question.IPAMExportRequest](payload)
		return look, err
	default:
		return asker.Right{}, fmt.Errorf("%w: unknown question %q", question.ErrInvalid, kind)
	}
}

// valid decodes a question that can be answered.
func valid[T interface{ Validate() error }](payload []byte) (T, error) {
	r, err := question.Decode[T](payload)
	if err != nil {
		return r, err
	}
	return r, r.Validate()
}
