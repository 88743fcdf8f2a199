package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
)

// export is one run of the command.
type export struct {
	*asking
	cluster string
	plain   bool
	written int
}

func newExport(o *options) *cobra.Command {
	e := &export{asking: &asking{options: o}}
	cmd := &cobra.Command{
		Use:   "export --cluster CLUSTER",
		Short: "Print everything that is compiled for a cluster",
		Long: "Prints every object that is compiled for a cluster, in the order in which its agent applies them, as YAML documents or\n" +
			"as one JSON object on each line. They are what the agent is sent, marks included; without the marks they are nobody's,\n" +
			"and can be given to any API server and istiod.",
		Example: "  meridian export --cluster west-a-1 -o yaml > west-a-1.yaml\n" +
			"  meridian export --cluster west-a-1 --strip-marks | kubectl apply --server-side -f -",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if e.output == "" {
				e.output = "yaml"
			}
			return e.run(cmd.Context())
		},
	}
	e.addTo(cmd.Flags())
	cmd.Flags().StringVar(&e.cluster, "cluster", "", "name of the cluster")
	cmd.Flags().BoolVar(&e.plain, "strip-marks", false, "leave out what makes the objects Meridian's")
	if err := cmd.MarkFlagRequired("cluster"); err != nil {
		panic(err)
	}
	return cmd
}

// run writes page after page.
func (e *export) run(ctx context.Context) error { return e.pages(ctx, e.cluster, e.write) }

// pages hands on all that is compiled for a cluster, page by page. What could not be had, or changed on the way, is an
// error at the end: what was handed on is then not a whole.
func (a *asking) pages(ctx context.Context, cluster string, do func(*question.Page) error) error {
	var gaps []string
	digest, request := "", question.ExportRequest{Cluster: cluster}
	for first := true; ; first = false {
		page, omitted, err := a.page(ctx, request)
		if err != nil {
			return err
		}
		if err := do(page); err != nil {
			return err
		}
		if first {
			digest = page.Digest
			if omitted != "" {
				gaps = append(gaps, omitted)
			}
		}
		if page.Digest == "" || page.Digest != digest {
			digest = "changed"
		}
		if len(page.TooLong) > 0 {
			gaps = append(gaps, "too long to be exported: "+strings.Join(page.TooLong, ", "))
		}
		if page.Next == "" {
			break
		}
		request.After = page.Next
	}
	if digest == "changed" {
		gaps = append(gaps, "what is compiled for it changed on the way; run it again for a state that was")
	}
	if len(gaps) > 0 {
		return fmt.Errorf("exporting cluster %s: %s", cluster, strings.Join(gaps, "; "))
	}
	return nil
}

// page asks for one page, and for what the owner of the cluster leaves out.
func (a *asking) page(ctx context.Context, request question.ExportRequest) (*question.Page, string, error) {
	top, err := a.ask(ctx, question.KindExport, request)
	if err != nil {
		return nil, "", err
	}
	for n := top; ; n = &n.Children[0] {
		switch {
		case n.Unanswered != "":
			return nil, "", fmt.Errorf("exporting cluster %s: %s %s: %s", request.Cluster, n.Tier, n.Name, n.Unanswered)
		case n.Page != nil:
			return n.Page, n.Omitted, nil
		case len(n.Children) != 1:
			return nil, "", fmt.Errorf("exporting cluster %s: no replica of its zone spoke of it; it is changing hands, ask again", request.Cluster)
		}
	}
}

func (e *export) write(page *question.Page) error {
	for _, content := range page.Objects {
		var o map[string]any
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.UseNumber() // so that large numbers stay what they are
		if err := decoder.Decode(&o); err != nil {
			return fmt.Errorf("reading an object of cluster %s: %w", e.cluster, err)
		}
		if e.plain {
			stripMarks(o)
		}
		if err := e.document(e.env.Out, o); err != nil {
			return err
		}
		e.written++
	}
	return nil
}

// document writes one object.
func (e *export) document(w io.Writer, o map[string]any) error {
	if e.output == "json" {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(o)
	}
	if e.written > 0 {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
	}
	return render.YAML(w, o)
}

// stripMarks leaves out the marks by which Meridian knows its objects, so that no agent takes the copy for its own. What
// selectors may rest on stays.
func stripMarks(o map[string]any) {
	metadata, _ := o["metadata"].(map[string]any)
	for field, marks := range map[string][]string{
		"labels":      {object.LabelManaged},
		"annotations": {object.AnnotationSelf, object.AnnotationVersion, object.AnnotationAdopt},
	} {
		values, _ := metadata[field].(map[string]any)
		for _, mark := range marks {
			delete(values, mark)
		}
		if len(values) == 0 {
			delete(metadata, field)
		}
	}
}
