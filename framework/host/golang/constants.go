package golang

/*
#include "gate.h"
#include "resolve.h"
*/
import "C"

import (
	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// The constants of the C side are those of Envoy's module and of the table of phases. One that differs makes a length
// that is not 0, which does not compile.

var (
	_ [0]struct{} = [C.STATUS_RUNNING - api.Running]struct{}{}
	_ [0]struct{} = [C.STATUS_LOCAL_REPLY - api.LocalReply]struct{}{}
	_ [0]struct{} = [C.STATUS_CONTINUE - api.Continue]struct{}{}
	_ [0]struct{} = [C.STATUS_BUFFER - api.StopAndBuffer]struct{}{}
	_ [0]struct{} = [C.STATUS_WATERMARK - api.StopAndBufferWatermark]struct{}{}
	_ [0]struct{} = [C.STATUS_NO_BUFFER - api.StopNoBuffer]struct{}{}
	_ [0]struct{} = [C.LOG_DOWNSTREAM_END - api.AccessLogDownstreamEnd]struct{}{}
	_ [0]struct{} = [C.MOE_NO_LOG_LEVEL - api.Error]struct{}{}
	_ [0]struct{} = [C.Set - api.SetBuffer]struct{}{}

	_ [0]struct{} = [C.WANT_REQUEST_HEADERS - phase.RequestHeaders]struct{}{}
	_ [0]struct{} = [C.WANT_REQUEST_BODY - phase.RequestBody]struct{}{}
	_ [0]struct{} = [C.WANT_REQUEST_TRAILERS - phase.RequestTrailers]struct{}{}
	_ [0]struct{} = [C.WANT_REQUEST - (phase.RequestHeaders | phase.RequestBody | phase.RequestTrailers)]struct{}{}
	_ [0]struct{} = [C.WANT_REQUEST<<(3*core.Response) - (phase.ResponseHeaders | phase.ResponseBody | phase.ResponseTrailers)]struct{}{}
	_ [0]struct{} = [C.WANT_COMPLETE - phase.Complete]struct{}{}
)
