package config

import (
	"strings"
	"testing"
)

func TestValidateShared(t *testing.T) {
	tests := []struct {
		name string
		part interface{ Validate() error }
		want []string // parts of the error; none for a valid one
	}{
		{name: "audit by default", part: Audit{}},
		{name: "audit with negative bounds", part: Audit{MaxSizeMB: -1, MaxBackups: -2},
			want: []string{"maxSizeMb: -1 is less than 1", "maxBackups: -2 is less than 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.part.Validate()
			if len(tt.want) == 0 && err != nil {
				t.Fatalf("Validate: got %v, want nil", err)
			}
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Validate: got %v, want it to say %q", err, want)
				}
			}
		})
	}
}
