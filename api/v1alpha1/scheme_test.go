package v1alpha1

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
)

func TestEveryResourceIsRegistered(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, r := range Resources() {
		for _, kind := range []string{r.Kind, r.Kind + "List"} {
			if !scheme.Recognizes(GroupVersion.WithKind(kind)) {
				t.Errorf("%s is not registered", kind)
			}
		}
	}
}

// TestUnsetIsNotWritten: what is not set must not appear in an apply, or the
// applier would own it.
func TestUnsetIsNotWritten(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		object any
		want   string
	}{
		"application": {
			&Application{Spec: ApplicationSpec{Ports: []Port{{Name: "http", Port: 80}}}},
			`{"metadata":{},"spec":{"template":{"metadata":{},"spec":{"containers":null}},"ports":[{"name":"http","port":80}]}}`,
		},
		"cluster": {
			&Cluster{Spec: ClusterSpec{Zone: "z", Environments: []string{"prod"}, Network: "n"}},
			`{"metadata":{},"spec":{"zone":"z","environments":["prod"],"network":"n"}}`,
		},
		"environment": {&Environment{}, `{"metadata":{}}`},
		"region":      {&Region{}, `{"metadata":{}}`},
		"zone":        {&Zone{Spec: ZoneSpec{Region: "r"}}, `{"metadata":{},"spec":{"region":"r"}}`},
		"network":     {&Network{}, `{"metadata":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(tc.object)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
