package mesh

import (
	"fmt"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// Error says why a spec cannot be compiled.
type Error struct {
	// Field is the path of what is wrong, such as spec.resources[2].metadata.namespace.
	Field string
	// Reason is one of v1alpha1's reasons of the condition Accepted.
	Reason string
	// Message says what is wrong and what would be right.
	Message string
}

// Error is FIELD: MESSAGE.
func (e *Error) Error() string { return e.Field + ": " + e.Message }

func invalidSpec(field, format string, args ...any) error {
	return &Error{Field: field, Reason: v1alpha1.ReasonInvalidSpec, Message: fmt.Sprintf(format, args...)}
}

func invalidTemplate(field, format string, args ...any) error {
	return &Error{Field: field, Reason: v1alpha1.ReasonInvalidTemplate, Message: fmt.Sprintf(format, args...)}
}

func notAllowed(field, format string, args ...any) error {
	return &Error{Field: field, Reason: v1alpha1.ReasonResourceNotAllowed, Message: fmt.Sprintf(format, args...)}
}
