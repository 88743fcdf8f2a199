package az

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/record"
)

// filled is an outbox of services, accounts and deployments of about size bytes each, put in out of order.
func filled(n, size int) (*feed.Outbox, map[string]string) {
	outbox, content := feed.NewOutbox(), map[string]string{}
	for i := range n {
		for _, kind := range [][2]string{{"apps", "Deployment"}, {"", "Service"}, {"", "ServiceAccount"}} {
			id := object.ID{Group: kind[0], Version: "v1", Kind: kind[1], Namespace: "shop", Name: fmt.Sprintf("a%04d", i)}
			r := record.New(id.Key(), fmt.Appendf(nil, `{"kind":%q,"name":%q,"text":"%s"}`, id.Kind, id.Name, strings.Repeat("<", size/6)))
			outbox.Edit(feed.Put(&r))
			content[id.String()] = string(r.Content)
		}
	}
	return outbox, content
}

// pages reads all pages; edit may change the outbox behind each.
func pages(t *testing.T, outbox *feed.Outbox, edit func(page int)) (objects []json.RawMessage, digests []string) {
	t.Helper()
	after := ""
	for i := 0; ; i++ {
		page := pageOf(outbox, after)
		if len(page.TooLong) > 0 || page.Next != "" && len(page.Objects) == 0 {
			t.Fatalf("page %d: %d objects, too long %v, then %q", i, len(page.Objects), page.TooLong, page.Next)
		}
		objects, digests = append(objects, page.Objects...), append(digests, page.Digest)
		if page.Next == "" {
			return objects, digests
		}
		after = page.Next
		edit(i)
	}
}

func TestPages(t *testing.T) {
	outbox, want := filled(300, 3000)
	objects, digests := pages(t, outbox, func(int) {})
	if len(digests) < 3 || len(slices.Compact(digests)) != 1 {
		t.Errorf("got digests %v, want several pages of one", digests)
	}
	if len(objects) != len(want) {
		t.Fatalf("got %d objects, want %d", len(objects), len(want))
	}
	var order []string
	for _, o := range objects {
		var head struct{ Kind, Name, Text string }
		if err := json.Unmarshal(o, &head); err != nil {
			t.Fatal(err)
		}
		group := "core"
		if head.Kind == "Deployment" {
			group = "apps"
		}
		key := group + "/v1/" + head.Kind + "/shop/" + head.Name
		order = append(order, key)
		var plain, before bytes.Buffer
		json.HTMLEscape(&before, []byte(want[key]))
		if plain.Write(o); plain.String() != before.String() {
			t.Errorf("%s: got %.100s, want %.100s", key, o, want[key])
		}
	}
	rank := func(s string) int {
		return slices.Index([]string{"ServiceAccount", "Service", "Deployment"}, strings.Split(s, "/")[2])
	}
	if !slices.IsSortedFunc(order, func(a, b string) int { return rank(a) - rank(b) }) {
		t.Errorf("the order is not that of application: %v", order)
	}
}

// TestPagesTellOfChanges has objects come and go between pages: the others are all there, once, and the digests differ.
func TestPagesTellOfChanges(t *testing.T) {
	outbox, want := filled(300, 3000)
	gone := object.ID{Version: "v1", Kind: "ServiceAccount", Namespace: "shop", Name: "a0000"}.Key()
	objects, digests := pages(t, outbox, func(int) { outbox.Edit(feed.Remove(gone, record.CausePerson)) })
	if len(objects) != len(want) || digests[0] == digests[1] {
		t.Errorf("got %d objects and digests %v, want %d, and the first digest another", len(objects), digests, len(want))
	}
}

func TestPageOfNothing(t *testing.T) {
	page := pageOf(feed.NewOutbox(), "")
	if page.Total != 0 || page.Next != "" || len(page.Objects) != 0 || page.Digest == "" {
		t.Errorf("got %+v, want an empty page", page)
	}
	if _, err := question.Encode(question.Node{Page: page}); err != nil {
		t.Error(err)
	}
}

// BenchmarkPage is one page of a cluster of 20,000 applications.
func BenchmarkPage(b *testing.B) {
	outbox, _ := filled(20000, 600)
	for b.Loop() {
		if page := pageOf(outbox, ""); page.Next == "" {
			b.Fatal("all fits one page")
		}
	}
}
