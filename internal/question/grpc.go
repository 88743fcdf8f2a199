package question

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/meridian-federation/meridian/internal/question/questionpb"
)

// Answerer answers questions: Global for people, and each tier for its parent.
type Answerer interface {
	Answer(ctx context.Context, kind string, payload []byte) ([]byte, error)
}

// Serve lets people ask a over gRPC.
func Serve(reg grpc.ServiceRegistrar, a Answerer) {
	questionpb.RegisterHubServer(reg, hub{answerer: a})
}

type hub struct {
	questionpb.UnimplementedHubServer
	answerer Answerer
}

func (h hub) Ask(ctx context.Context, req *questionpb.AskRequest) (*questionpb.AskResponse, error) {
	answer, err := h.answerer.Answer(ctx, req.GetKind(), req.GetPayload())
	if err != nil {
		return nil, toStatus(err)
	}
	return &questionpb.AskResponse{Payload: answer}, nil
}

// Client asks Global.
type Client struct {
	conn *grpc.ClientConn
	hub  questionpb.HubClient
}

// Dial makes a client of the hub at address; the connection is made with the first question. creds say whom the client
// takes for the hub.
func Dial(address string, creds credentials.TransportCredentials, options ...grpc.DialOption) (*Client, error) {
	options = append(options, grpc.WithTransportCredentials(creds))
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, fmt.Errorf("dialling the hub at %s: %w", address, err)
	}
	return &Client{conn: conn, hub: questionpb.NewHubClient(conn)}, nil
}

// Answer asks. Errors are ErrNotFound or ErrInvalid where the hub's were.
func (c *Client) Answer(ctx context.Context, kind string, payload []byte) ([]byte, error) {
	resp, err := c.hub.Ask(ctx, &questionpb.AskRequest{Kind: kind, Payload: payload})
	if err != nil {
		return nil, fromStatus(c.conn.Target(), err)
	}
	return resp.GetPayload(), nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func toStatus(err error) error {
	code := codes.Unknown
	switch {
	case errors.Is(err, ErrNotFound):
		code = codes.NotFound
	case errors.Is(err, ErrInvalid):
		code = codes.InvalidArgument
	case errors.Is(err, ErrUnauthenticated):
		code = codes.Unauthenticated
	case errors.Is(err, ErrForbidden):
		code = codes.PermissionDenied
	case errors.Is(err, ErrUnavailable):
		code = codes.FailedPrecondition // Unavailable would say that no hub answers
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	}
	return status.Error(code, err.Error())
}

// remote is an error of the hub's: its own words, and the error that it was there.
type remote struct {
	message string
	is      error
}

// newRemote leaves the error's name out of the words where they begin with it: what follows is for people.
func newRemote(message string, is error) *remote {
	return &remote{strings.TrimPrefix(message, is.Error()+": "), is}
}

func (e *remote) Error() string { return e.message }
func (e *remote) Unwrap() error { return e.is }

func fromStatus(target string, err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.NotFound:
		return newRemote(s.Message(), ErrNotFound)
	case codes.InvalidArgument:
		return newRemote(s.Message(), ErrInvalid)
	case codes.Unauthenticated:
		return newRemote(s.Message(), ErrUnauthenticated)
	case codes.PermissionDenied:
		return newRemote(s.Message(), ErrForbidden)
	case codes.FailedPrecondition:
		return newRemote(s.Message(), ErrUnavailable)
	case codes.DeadlineExceeded:
		return &remote{"the hub did not answer in time", context.DeadlineExceeded}
	case codes.Unavailable:
		return fmt.Errorf("no hub answers at %s: %s", target, s.Message())
	default:
		return &remote{s.Message(), err}
	}
}
