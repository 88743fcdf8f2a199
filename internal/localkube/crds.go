package localkube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	sigsyaml "sigs.k8s.io/yaml"
)

// fieldManager owns what this package applies.
const fieldManager = "localkube"

var crdResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// InstallCRDs applies the CustomResourceDefinitions in the YAML files and waits
// until they are served.
func (c *Cluster) InstallCRDs(ctx context.Context, files ...[]byte) error {
	if err := c.installCRDs(ctx, files); err != nil {
		return fmt.Errorf("installing CRDs in cluster %s: %w", c.cfg.Name, err)
	}
	return nil
}

// InstallIstioCRDs installs those of the istio.io/api version that this module
// requires.
func (c *Cluster) InstallIstioCRDs(ctx context.Context) error {
	b, err := os.ReadFile(filepath.Join(c.cfg.BinDir, istioCRDs))
	if err != nil {
		return fmt.Errorf("installing Istio's CRDs in cluster %s: %w", c.cfg.Name, err)
	}
	return c.InstallCRDs(ctx, b)
}

func (c *Cluster) installCRDs(ctx context.Context, files [][]byte) error {
	client, err := dynamic.NewForConfigAndClient(c.RESTConfig(), c.client)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, file := range files {
		docs, err := documents(file)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			g.Go(func() error { return installCRD(ctx, client.Resource(crdResource), doc) })
		}
	}
	return g.Wait()
}

func installCRD(ctx context.Context, crds dynamic.ResourceInterface, crd *unstructured.Unstructured) error {
	name := crd.GetName()
	if crd.GetKind() != "CustomResourceDefinition" {
		return fmt.Errorf("%s %s is not a CustomResourceDefinition", crd.GetKind(), name)
	}
	data, err := crd.MarshalJSON()
	if err != nil {
		return err
	}
	force := true
	_, err = crds.Patch(ctx, name, types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: fieldManager, Force: &force})
	if err != nil {
		return fmt.Errorf("applying %s: %w", name, err)
	}
	err = wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		live, err := crds.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return isEstablished(live), nil
	})
	if err != nil {
		return fmt.Errorf("waiting until %s is served: %w", name, err)
	}
	return nil
}

func isEstablished(crd *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, c := range conditions {
		cond, _ := c.(map[string]any)
		if cond["type"] == "Established" {
			return cond["status"] == "True"
		}
	}
	return false
}

// documents splits a YAML file, leaving out the empty ones.
func documents(file []byte) ([]*unstructured.Unstructured, error) {
	r := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(file)))
	var docs []*unstructured.Unstructured
	for {
		text, err := r.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		obj := &unstructured.Unstructured{}
		if err := sigsyaml.Unmarshal(text, &obj.Object); err != nil {
			return nil, err
		}
		if len(obj.Object) > 0 {
			docs = append(docs, obj)
		}
	}
}
