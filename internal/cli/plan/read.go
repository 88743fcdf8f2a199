package plan

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/meridian-federation/meridian/api/v1alpha1"
)

// File is one file's rows, in its order.
type File struct {
	Rows []Row
	// Ignored are columns that mean nothing here.
	Ignored []string
}

// Read reads a file of a name, which is for messages alone: what it is shows in its content. A row that cannot be read has
// an Err; an error is about the whole.
func Read(name string, content []byte, d Defaults) (File, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	var f File
	var err error
	switch trimmed := bytes.TrimSpace(content); {
	case len(trimmed) == 0:
		return f, fmt.Errorf("reading %s: it is empty", name)
	case trimmed[0] == '[' || trimmed[0] == '{':
		f.Rows, err = readJSON(name, content)
	default:
		f, err = readCSV(name, content)
	}
	if err != nil {
		return File{}, fmt.Errorf("reading %s: %w", name, err)
	}
	for i := range f.Rows {
		r := &f.Rows[i]
		d.fill(r)
		if r.Err == nil {
			r.Err = r.check()
		}
	}
	return f, nil
}

// readCSV reads lines below a header that names the columns, separated by commas, semicolons or tabs.
func readCSV(name string, content []byte) (File, error) {
	in := csv.NewReader(bytes.NewReader(content))
	in.Comma, in.FieldsPerRecord, in.TrimLeadingSpace = separator(content), -1, true
	header, err := in.Read()
	if err != nil {
		return File{}, err
	}
	for i := range header {
		header[i] = strings.ToLower(strings.TrimSpace(header[i]))
	}
	var f File
	known := false
	for _, column := range header {
		set := columns[column]
		known = known || column == "prefix" || column == "address" || column == "cidr"
		if set == nil {
			f.Ignored = append(f.Ignored, column)
		}
	}
	if !known {
		return File{}, fmt.Errorf("line 1: the header %q has no column prefix, cidr or address", strings.Join(header, ","))
	}
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		var parse *csv.ParseError
		if err != nil && !errors.As(err, &parse) {
			return File{}, err
		}
		if parse != nil {
			f.Rows = append(f.Rows, Row{Source: fmt.Sprintf("%s:%d", name, parse.StartLine), Err: parse.Err})
			continue
		}
		line, _ := in.FieldPos(0)
		f.Rows = append(f.Rows, rowOf(fmt.Sprintf("%s:%d", name, line), header, cells))
	}
}

func separator(content []byte) rune {
	header, _, _ := bytes.Cut(content, []byte("\n"))
	for _, sign := range ",;\t" {
		if bytes.ContainsRune(header, sign) {
			return sign
		}
	}
	return ','
}

func rowOf(source string, header, cells []string) Row {
	r := Row{Source: source}
	if len(cells) > len(header) {
		r.Err = fmt.Errorf("the line has %d cells, and the header %d", len(cells), len(header))
		return r
	}
	for i, cell := range cells {
		if set, cell := columns[header[i]], strings.TrimSpace(cell); set != nil && cell != "" && r.Err == nil {
			r.Err = set(&r, cell)
		}
	}
	if r.Err == nil && !r.Prefix.IsValid() {
		_, r.Err = parsePrefix("")
	}
	return r
}

// columns are those of a CSV file, by their names in lower case. NetBox's own names of the same things are among them.
var columns = map[string]func(*Row, string) error{
	"prefix": setPrefix,
	"cidr":   setPrefix,
	"address": func(r *Row, s string) (err error) {
		if r.Prefix, err = parseHost(s); r.Kind == "" {
			r.Kind = Claim
		}
		return err
	},
	"kind":        func(r *Row, s string) error { r.Kind = Kind(strings.ToLower(s)); return nil },
	"pool":        func(r *Row, s string) error { r.Pool = s; return nil },
	"purpose":     func(r *Row, s string) error { r.Purpose = v1alpha1.IPPurpose(s); return nil },
	"network":     func(r *Row, s string) error { r.Network = s; return nil },
	"namespace":   func(r *Row, s string) error { r.Namespace = s; return nil },
	"name":        func(r *Row, s string) error { r.Name = s; return nil },
	"zone":        func(r *Row, s string) error { r.Zone = s; return nil },
	"owner":       func(r *Row, s string) error { r.Owner = s; return nil },
	"tenant":      func(r *Row, s string) error { r.Tenant = s; return nil },
	"description": func(r *Row, s string) error { r.Description = s; return nil },
	"status":      func(r *Row, s string) error { r.setStatus(s); return nil },
	"draining": func(r *Row, s string) (err error) {
		if r.Draining, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("draining: %q is neither true nor false", s)
		}
		return nil
	},
}

func setPrefix(r *Row, s string) (err error) {
	r.Prefix, err = parsePrefix(s)
	return err
}

// setStatus takes NetBox's status of a prefix or an address.
func (r *Row) setStatus(status string) {
	r.status = strings.ToLower(status)
	if r.status == "deprecated" {
		r.Skipped = "it is deprecated"
	}
}
