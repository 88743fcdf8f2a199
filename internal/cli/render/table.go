package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TableOptions say how a table is written.
type TableOptions struct {
	// Wide shows the columns of lower priority too.
	Wide bool
	// Namespaces puts a column with each row's namespace first.
	Namespaces bool
	// Prefix goes before each name, where tables of several kinds are shown.
	Prefix string
	// NoHead leaves the line of headings out.
	NoHead bool
}

// Table writes what a server printed.
func Table(w io.Writer, table *metav1.Table, o TableOptions) error {
	var shown []int
	var head []string
	if o.Namespaces {
		head = append(head, "NAMESPACE")
	}
	for i, c := range table.ColumnDefinitions {
		if c.Priority == 0 || o.Wide {
			shown = append(shown, i)
			head = append(head, strings.ToUpper(c.Name))
		}
	}
	var rows [][]string
	if !o.NoHead {
		rows = append(rows, head)
	}
	for _, r := range table.Rows {
		var row []string
		if o.Namespaces {
			namespace, err := namespaceOf(r)
			if err != nil {
				return err
			}
			row = append(row, namespace)
		}
		for n, i := range shown {
			cell := ""
			if i < len(r.Cells) {
				cell = cellText(r.Cells[i])
			}
			if n == 0 {
				cell = o.Prefix + cell
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return columns(w, rows)
}

func cellText(cell any) string {
	switch v := cell.(type) {
	case nil:
		return ""
	case string:
		return firstLine(v)
	case float64:
		return fmt.Sprintf("%v", v)
	default:
		return firstLine(fmt.Sprint(v))
	}
}

func namespaceOf(r metav1.TableRow) (string, error) {
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(r.Object.Raw, &meta); err != nil {
		return "", fmt.Errorf("reading a table's row: %w", err)
	}
	return meta.Namespace, nil
}
