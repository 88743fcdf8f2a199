package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readJSON reads a list of rows: Write's, or NetBox's prefixes or addresses, as its API answers them, bare or below
// "results".
func readJSON(name string, content []byte) ([]Row, error) {
	d := json.NewDecoder(bytes.NewReader(content))
	token, err := d.Token()
	if err != nil {
		return nil, at(content, d.InputOffset(), err)
	}
	if token == json.Delim('{') {
		if err := enter(d, "results"); err != nil {
			return nil, at(content, d.InputOffset(), err)
		}
	}
	var rows []Row
	line := lineCounter{content: content}
	for d.More() {
		var element json.RawMessage
		if err := d.Decode(&element); err != nil {
			return nil, at(content, d.InputOffset(), err)
		}
		r := rowFrom(element)
		r.Source = fmt.Sprintf("%s:%d", name, line.at(d.InputOffset()-int64(len(element))))
		rows = append(rows, r)
	}
	if _, err := d.Token(); err != nil { // the list's end
		return nil, at(content, d.InputOffset(), err)
	}
	return rows, nil
}

// enter goes on to the list that a field of the object holds.
func enter(d *json.Decoder, field string) error {
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if key == field {
			if begin, err := d.Token(); err != nil || begin != json.Delim('[') {
				return fmt.Errorf("%s: it is no list", field)
			}
			return nil
		}
		var other json.RawMessage
		if err := d.Decode(&other); err != nil {
			return err
		}
		if key == "next" && string(other) != "null" {
			return errors.New("next: the answer is a page of several; ask for all at once, such as with ?limit=0")
		}
	}
	return fmt.Errorf("there is no list, nor %q, which NetBox's answers have", field)
}

func at(content []byte, offset int64, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("line %d: %w", (&lineCounter{content: content}).at(offset), err)
}

// lineCounter counts lines up to offsets that grow.
type lineCounter struct {
	content []byte
	offset  int64
	lines   int
}

func (l *lineCounter) at(offset int64) int {
	offset = min(offset, int64(len(l.content)))
	l.lines += bytes.Count(l.content[l.offset:offset], []byte("\n"))
	l.offset = offset
	return l.lines + 1
}

// element is a row of Write's or of NetBox's: what they both have is of both kinds, such as the tenant.
type element struct {
	Kind        *string `json:"kind"`
	Prefix      string  `json:"prefix"`
	Address     string  `json:"address"`
	Status      named   `json:"status"`
	VRF         named   `json:"vrf"`
	Role        named   `json:"role"`
	Tenant      named   `json:"tenant"`
	DNSName     string  `json:"dns_name"`
	Description string  `json:"description"`
}

// named is an object of NetBox's, or a name alone.
type named struct{ Name string }

func (n *named) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) || bytes.Equal(b, []byte("null")) {
		return json.Unmarshal(b, &n.Name)
	}
	var o struct{ Value, Slug, Name string }
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	for _, name := range []string{o.Value, o.Slug, o.Name} {
		if n.Name == "" {
			n.Name = name
		}
	}
	return nil
}

func rowFrom(b json.RawMessage) Row {
	var e element
	if err := json.Unmarshal(b, &e); err != nil {
		return Row{Err: err}
	}
	if e.Kind != nil {
		return ownRow(b)
	}
	r := Row{Tenant: e.Tenant.Name, Description: e.Description}
	r.hint.network = e.VRF.Name
	if e.DNSName != "" {
		r.Description = e.DNSName
	}
	switch {
	case e.Prefix != "" && e.Address == "":
		r.Prefix, r.Err = parsePrefix(e.Prefix)
		r.hint.pool = e.Role.Name
	case e.Address != "" && e.Prefix == "":
		r.Prefix, r.Err = parseHost(e.Address)
		r.Kind = Claim // whose role, such as anycast, names no pool
	default:
		r.Err = errors.New("the object has neither a prefix nor an address, as NetBox's prefixes and ip-addresses have")
	}
	r.setStatus(e.Status.Name)
	return r
}

// ownRow reads what Write wrote. A field that is not known is refused.
func ownRow(b json.RawMessage) Row {
	var r Row
	var raw struct {
		Prefix string `json:"prefix"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return Row{Err: err}
	}
	prefix, err := parsePrefix(raw.Prefix)
	if err != nil {
		return Row{Err: err}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Row{Err: err}
	}
	r.Prefix = prefix
	return r
}
