// SPDX-License-Identifier: Apache-2.0

package penstock

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "penstock/pluginv1"
)

const (
	madeWith        = "penstock go shim 0.5.0 (go-plugin)"
	messageBytesMax = 64 << 20
	tokenMetadata   = "penstock-token"
	tokenVariable   = "PENSTOCK_TOKEN"
)

// Serve serves the plugin to the host that started this process, until the host ends it. To be called by main.
func Serve(p Plugin) {
	terminal := os.Stderr
	s := &server{engine: newEngine(p), terminal: terminal, token: os.Getenv(tokenVariable)}
	os.Unsetenv(tokenVariable)
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		panic(err)
	}
	s.incarnation = hex.EncodeToString(random)
	go endWithParent(os.Getppid())
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion: 1, MagicCookieKey: "PENSTOCK_PLUGIN", MagicCookieValue: "penstock.plugin.v1",
		},
		VersionedPlugins: map[int]goplugin.PluginSet{1: {"plugin": grpcPlugin{server: s}}},
		GRPCServer:       s.makeGRPC,
	})
}

// endWithParent ends the process when its host is gone, however that went.
func endWithParent(parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}

type grpcPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	server *server
}

func (p grpcPlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterPluginServer(s, p.server)
	return nil
}

func (p grpcPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (interface{}, error) {
	return nil, fmt.Errorf("this is a plugin, no host")
}

type server struct {
	engine      *engine
	grpc        *grpc.Server
	terminal    *os.File
	token       string
	incarnation string
}

func (s *server) makeGRPC(options []grpc.ServerOption) *grpc.Server {
	options = append(options,
		grpc.MaxRecvMsgSize(messageBytesMax), grpc.MaxSendMsgSize(messageBytesMax),
		grpc.UnaryInterceptor(func(ctx context.Context, r interface{}, info *grpc.UnaryServerInfo, do grpc.UnaryHandler) (interface{}, error) {
			if err := s.allowed(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return do(ctx, r)
		}),
		grpc.StreamInterceptor(func(x interface{}, stream grpc.ServerStream, info *grpc.StreamServerInfo, do grpc.StreamHandler) error {
			if err := s.allowed(stream.Context(), info.FullMethod); err != nil {
				return err
			}
			return do(x, stream)
		}))
	s.grpc = goplugin.DefaultGRPCServer(options)
	return s.grpc
}

// allowed: whoever calls the plugin knows the token that its host gave it; health and shut-down are go-plugin's own.
func (s *server) allowed(ctx context.Context, method string) error {
	if s.token == "" || !strings.HasPrefix(method, "/penstock.plugin.") {
		return nil
	}
	met, _ := metadata.FromIncomingContext(ctx)
	for _, token := range met.Get(tokenMetadata) {
		if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) == 1 {
			return nil
		}
	}
	return status.Errorf(codes.Unauthenticated, "call without the plugin's token, wanted metadata %s", tokenMetadata)
}

func (s *server) Describe(_ context.Context, r *pb.DescribeRequest) (*pb.DescribeReply, error) {
	// go-plugin has put pipes in their place that nobody reads: a full one would stop the plugin.
	os.Stdout, os.Stderr = s.terminal, s.terminal
	speaks := len(r.Majors) == 0
	for _, major := range r.Majors {
		speaks = speaks || major == 1
	}
	if !speaks {
		return nil, status.Errorf(codes.FailedPrecondition, "host %s speaks majors %v of penstock.plugin, this plugin 1", r.HostVersion, r.Majors)
	}
	p := s.engine.plugin
	reply := &pb.DescribeReply{
		Id: p.ID, Version: p.Version, Kind: p.Kind, ContractMin: p.ContractMin, ContractMax: p.ContractMax,
		ConfigSchema: p.ConfigSchema, MadeWith: madeWith, Incarnation: s.incarnation, Embedded: p.Embedded,
		Deterministic: p.Deterministic,
		Capabilities:  []string{"snapshot"},
	}
	for _, each := range p.Hears {
		schema := each.Schema()
		name := fmt.Sprintf("%T", each)
		name = name[strings.LastIndex(name, ".")+1:]
		if schema.ID == SchemaReconcile {
			reply.Capabilities = []string{"reconcile", "snapshot"}
		}
		reply.Hears = append(reply.Hears, &pb.Hears{SchemaId: uint32(schema.ID), Version: uint32(schema.Version), Name: name})
	}
	return reply, nil
}

func (s *server) Configure(_ context.Context, r *pb.ConfigureRequest) (reply *pb.ConfigureReply, err error) {
	s.engine.run(func() {
		defer refused(&err)
		if !r.ValidateOnly {
			if err = s.want("Configure", "new", "configured"); err != nil {
				return
			}
		}
		reply = &pb.ConfigureReply{Faults: s.engine.configure(r)}
	})
	return reply, err
}

func (s *server) Start(_ context.Context, r *pb.StartRequest) (reply *pb.StartReply, err error) {
	s.engine.run(func() {
		defer refused(&err)
		states := []string{"configured"}
		if r.Resumed && r.Seq == 0 {
			states = append(states, "started")
		}
		if err = s.want("Start", states...); err == nil {
			reply, err = s.engine.start(r)
		}
	})
	return reply, err
}

func (s *server) Drain(_ context.Context, r *pb.DrainRequest) (reply *pb.DrainReply, err error) {
	s.engine.run(func() {
		defer refused(&err)
		if err = s.want("Drain", "started"); err == nil {
			reply = &pb.DrainReply{Said: s.engine.drain(r)}
		}
	})
	return reply, err
}

func (s *server) Stop(context.Context, *pb.StopRequest) (*pb.StopReply, error) {
	go func() {
		// The reply leaves first; streams that are still open would hold a graceful stop up for ever.
		stopped := make(chan struct{})
		go func() {
			s.grpc.GracefulStop()
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-time.After(time.Second):
			s.grpc.Stop()
		}
	}()
	return &pb.StopReply{}, nil
}

func (s *server) Snapshot(context.Context, *pb.SnapshotRequest) (reply *pb.SnapshotReply, err error) {
	s.engine.run(func() {
		defer refused(&err)
		if err = s.want("Snapshot", "configured", "started", "drained"); err != nil {
			return
		}
		state, fault := s.engine.snapshot()
		reply = &pb.SnapshotReply{State: state, LastSeq: uint64(s.engine.ctx.seq)}
		if fault != nil {
			reply = &pb.SnapshotReply{Error: fault.Error()}
		}
	})
	return reply, err
}

func (s *server) Restore(_ context.Context, r *pb.RestoreRequest) (reply *pb.RestoreReply, err error) {
	s.engine.run(func() {
		defer refused(&err)
		if err = s.want("Restore", "configured"); err != nil {
			return
		}
		reply = &pb.RestoreReply{}
		if fault := s.engine.restore(r.State, int64(r.LastSeq)); fault != nil {
			reply.Error = fault.Error()
		}
	})
	return reply, err
}

func (s *server) want(call string, states ...string) error {
	for _, state := range states {
		if s.engine.state == state {
			return nil
		}
	}
	return status.Errorf(codes.FailedPrecondition, "%s met a plugin that is %s, wanted %s",
		call, s.engine.state, strings.Join(states, " or "))
}

// refused makes a call's error of a panic.
func refused(err *error) {
	if met := recover(); met != nil {
		*err = status.Errorf(codes.Internal, "%v", met)
	}
}

func (s *server) Events(stream pb.Plugin_EventsServer) error {
	return s.stream(s.engine.events, stream)
}

func (s *server) Orders(stream pb.Plugin_OrdersServer) error {
	return s.stream(s.engine.orders, stream)
}

type batchStream interface {
	Send(*pb.Batch) error
	Recv() (*pb.Batch, error)
}

func (s *server) stream(l *lane, stream batchStream) error {
	if err := l.begin(); err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for b := l.next(); b != nil; b = l.next() {
			if stream.Send(b) != nil {
				return
			}
		}
	}()
	err := s.receive(l, stream)
	l.end()
	<-sent
	return err
}

func (s *server) receive(l *lane, stream batchStream) error {
	for {
		b, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		fresh, err := l.take(b)
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		switch {
		case fresh && b.Answers > 0 && l.answered(b):
		case fresh:
			s.engine.work <- func() { s.engine.batch(l, b) }
		case b.Number == 0 && b.WrittenSeq > 0:
			s.engine.work <- func() { s.engine.journaled(l, b.WrittenSeq) }
		}
	}
}
