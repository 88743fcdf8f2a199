package plan

import (
	"encoding/csv"
	"encoding/json"
	"io"
)

// written are the columns of WriteCSV, in order.
var written = []string{"kind", "prefix", "pool", "purpose", "network", "draining", "namespace", "name", "zone", "owner", "tenant", "description"}

// Writer writes rows one after another; Read reads them back. Close ends the file.
type Writer interface {
	Write(Row) error
	Close() error
}

// NewCSV writes rows as lines below a header.
func NewCSV(w io.Writer) Writer { return &csvWriter{out: csv.NewWriter(w)} }

type csvWriter struct {
	out   *csv.Writer
	begun bool
}

func (c *csvWriter) header() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.out.Write(written)
}

func (c *csvWriter) Write(r Row) error {
	if err := c.header(); err != nil {
		return err
	}
	draining := ""
	if r.Draining {
		draining = "true"
	}
	return c.out.Write([]string{string(r.Kind), r.Prefix.String(), r.Pool, string(r.Purpose), r.Network, draining, r.Namespace, r.Name, r.Zone,
		r.Owner, r.Tenant, r.Description})
}

func (c *csvWriter) Close() error {
	if err := c.header(); err != nil {
		return err
	}
	c.out.Flush()
	return c.out.Error()
}

// NewJSON writes rows as a list, one on each line.
func NewJSON(w io.Writer) Writer { return &jsonWriter{out: w, before: "[\n"} }

type jsonWriter struct {
	out    io.Writer
	before string
}

func (j *jsonWriter) Write(r Row) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = io.WriteString(j.out, j.before+string(b))
	j.before = ",\n"
	return err
}

func (j *jsonWriter) Close() error {
	if j.before == "[\n" {
		_, err := io.WriteString(j.out, "[]\n")
		return err
	}
	_, err := io.WriteString(j.out, "\n]\n")
	return err
}
