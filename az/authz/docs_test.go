package authz_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networkingv1alpha3 "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/az/authz"
)

// TestDocs reads the examples of docs/policy.md as Envoy, istiod and Global would.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	typed := 0
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for document := range strings.SplitSeq(block[1], "---\n") {
			var v any
			if err := yaml.Unmarshal([]byte(document), &v); err != nil {
				t.Fatalf("%v in\n%s", err, document)
			}
			readObject(t, v)
			typed += readTyped(t, v)
		}
	}
	if typed != 4 {
		t.Errorf("found %d typed configurations, want 4", typed)
	}
}

// readObject reads what is a resource's spec.
func readObject(t *testing.T, v any) {
	t.Helper()
	object := v.(map[string]any)
	kind, _ := object["kind"].(string)
	switch kind {
	case "EnvoyFilter":
		read(t, object["spec"], &networkingv1alpha3.EnvoyFilter{})
	case "DestinationRule":
		var rule networkingv1alpha3.DestinationRule
		read(t, object["spec"], &rule)
		if settings := rule.GetTrafficPolicy().GetTls(); settings.GetMode() != networkingv1alpha3.ClientTLSSettings_MUTUAL ||
			settings.GetCredentialName() == "" || len(settings.GetSubjectAltNames()) == 0 {
			t.Errorf("the TLS settings %v show no certificate, or do not say whom to believe", settings)
		}
	case "AccessPolicy":
		readOwn(t, object, &v1alpha1.AccessPolicy{})
	case "ExternalService":
		readOwn(t, object, &v1alpha1.ExternalService{})
	case "": // a part of an Envoy's configuration
	default:
		t.Errorf("an example is of kind %s", kind)
	}
}

// readOwn reads one of Meridian's resources.
func readOwn(t *testing.T, object map[string]any, into any) {
	t.Helper()
	b, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, into); err != nil {
		t.Errorf("the %s: %v", object["kind"], err)
	}
}

// readTyped reads every typed configuration below v, and counts them.
func readTyped(t *testing.T, v any) (n int) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += readTyped(t, e)
		}
	case map[string]any:
		if url, _ := v["@type"].(string); url != "" {
			readConfig(t, url, v)
			return 1
		}
		for _, e := range v {
			n += readTyped(t, e)
		}
	}
	return n
}

func readConfig(t *testing.T, url string, v map[string]any) {
	t.Helper()
	fields := map[string]any{}
	for key, value := range v {
		if key != "@type" {
			fields[key] = value
		}
	}
	switch url {
	case "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz":
		var filter extauthzv3.ExtAuthz
		read(t, fields, &filter)
		if filter.GetFailureModeAllow() || filter.GetGrpcService().GetEnvoyGrpc().GetClusterName() == "" {
			t.Errorf("the filter %v fails open, or asks nobody", &filter)
		}
	case "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute":
		var route extauthzv3.ExtAuthzPerRoute
		read(t, fields, &route)
		extensions := route.GetCheckSettings().GetContextExtensions()
		if extensions[authz.ExtensionGateway] != "true" && (extensions[authz.ExtensionApplication] == "" || extensions[authz.ExtensionPort] == "") {
			t.Errorf("the context extensions %v say nothing", extensions)
		}
	default:
		t.Errorf("a configuration is of type %s", url)
	}
}

func read(t *testing.T, v any, into proto.Message) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := protojson.Unmarshal(b, into); err != nil {
		t.Errorf("%s: %v", into.ProtoReflect().Descriptor().FullName(), err)
	}
}
