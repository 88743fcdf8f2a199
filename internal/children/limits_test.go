package children_test

import (
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/children"
)

func TestLimits(t *testing.T) {
	tests := map[string]struct {
		limits children.Limits
		want   []string // in the error; none is valid
	}{
		"defaults":   {children.Limits{}, nil},
		"as given":   {children.Limits{Records: 1, Rate: 1}, nil},
		"below zero": {children.Limits{Records: -1, Rate: -5}, []string{"records: -1", "rate: -5"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			given := tt.limits
			tt.limits.DefaultAgent()
			if given.Records != 0 && tt.limits != given {
				t.Errorf("the defaults make of %+v %+v, want it as it was", given, tt.limits)
			}
			err := tt.limits.Validate()
			if (err != nil) != (len(tt.want) > 0) {
				t.Fatalf("%+v: got %v, want an error of %q", tt.limits, err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
		})
	}
}
