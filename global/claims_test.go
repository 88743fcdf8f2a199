package global

import (
	"errors"
	"slices"
	"testing"

	"github.com/meridian-federation/meridian/internal/object"
)

func TestClaims(t *testing.T) {
	config := func(name string) object.ID {
		return object.ID{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: name}
	}
	c := newClaims()
	if _, err := c.take("shop/a", []object.ID{config("x"), config("y")}); err != nil {
		t.Fatalf("the first taker is refused: %v", err)
	}
	_, err := c.take("shop/b", []object.ID{config("y"), config("z")})
	var conflict *conflict
	if !errors.As(err, &conflict) || conflict.holder != "shop/a" || conflict.id != config("y") {
		t.Fatalf("take = %v, want a conflict with shop/a over y", err)
	}
	if _, err := c.take("shop/c", []object.ID{config("z")}); err != nil {
		t.Errorf("z was taken by an application that was refused: %v", err)
	}
	freed, err := c.take("shop/a", []object.ID{config("x")})
	if err != nil || !slices.Equal(freed, []string{"shop/b"}) {
		t.Errorf("letting y go frees %v, %v; want shop/b", freed, err)
	}
	c.forget("shop/c")
	if _, err := c.take("shop/b", []object.ID{config("y"), config("z")}); err != nil {
		t.Errorf("shop/b is refused what was let go: %v", err)
	}
	c.forget("shop/a")
	c.forget("shop/b")
	if len(c.holder)+len(c.held)+len(c.waiting) != 0 {
		t.Errorf("claims remain after all are forgotten: %v %v %v", c.holder, c.held, c.waiting)
	}
}
