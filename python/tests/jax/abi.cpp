// Compiled, never run: csrc/library/xla_abi.hpp against the header of the jaxlib that is installed.
#include "../../../csrc/library/xla_abi.hpp"
#include "xla/ffi/api/c_api.h"

namespace own = fastfm::xla;

#define SAME_PLACE(ours, member, theirs, field)                                                                        \
    static_assert(offsetof(own::ours, member) == offsetof(theirs, field), #theirs "." #field);                         \
    static_assert(sizeof(own::ours::member) == sizeof(theirs::field), "size of " #theirs "." #field)
#define SAME_SIZE(ours, theirs) static_assert(sizeof(own::ours) == sizeof(theirs), "size of " #theirs)
#define SAME_NUMBER(ours, theirs) static_assert(int(own::ours) == int(theirs), #theirs)

static_assert(XLA_FFI_API_MAJOR == own::known_major && XLA_FFI_API_MINOR >= own::oldest_minor &&
                  XLA_FFI_API_MINOR <= own::newest_minor,
              "version");

SAME_NUMBER(type_bool, XLA_FFI_DataType_PRED);
SAME_NUMBER(type_int32, XLA_FFI_DataType_S32);
SAME_NUMBER(type_int64, XLA_FFI_DataType_S64);
SAME_NUMBER(type_float32, XLA_FFI_DataType_F32);
SAME_NUMBER(type_float64, XLA_FFI_DataType_F64);
SAME_NUMBER(invalid_argument, XLA_FFI_Error_Code_INVALID_ARGUMENT);
SAME_NUMBER(unimplemented, XLA_FFI_Error_Code_UNIMPLEMENTED);
SAME_NUMBER(internal, XLA_FFI_Error_Code_INTERNAL);
SAME_NUMBER(execute, XLA_FFI_ExecutionStage_EXECUTE);
SAME_NUMBER(metadata_extension, XLA_FFI_Extension_Metadata);
SAME_NUMBER(scalar_attribute, XLA_FFI_AttrType_SCALAR);

SAME_SIZE(Extension, XLA_FFI_Extension_Base);
SAME_PLACE(Extension, type, XLA_FFI_Extension_Base, type);
SAME_PLACE(Extension, next, XLA_FFI_Extension_Base, next);

SAME_SIZE(Version, XLA_FFI_Api_Version);
SAME_PLACE(Version, major, XLA_FFI_Api_Version, major_version);
SAME_PLACE(Version, minor, XLA_FFI_Api_Version, minor_version);

SAME_SIZE(ErrorText, XLA_FFI_Error_Create_Args);
SAME_PLACE(ErrorText, message, XLA_FFI_Error_Create_Args, message);
SAME_PLACE(ErrorText, code, XLA_FFI_Error_Create_Args, errc);

SAME_PLACE(Api, version, XLA_FFI_Api, api_version);
SAME_PLACE(Api, make_error, XLA_FFI_Api, XLA_FFI_Error_Create);

SAME_SIZE(Buffer, XLA_FFI_Buffer);
SAME_PLACE(Buffer, type, XLA_FFI_Buffer, dtype);
SAME_PLACE(Buffer, data, XLA_FFI_Buffer, data);
SAME_PLACE(Buffer, rank, XLA_FFI_Buffer, rank);
SAME_PLACE(Buffer, dims, XLA_FFI_Buffer, dims);

SAME_SIZE(Text, XLA_FFI_ByteSpan);
SAME_PLACE(Text, data, XLA_FFI_ByteSpan, ptr);
SAME_PLACE(Text, size, XLA_FFI_ByteSpan, len);

SAME_SIZE(Scalar, XLA_FFI_Scalar);
SAME_PLACE(Scalar, type, XLA_FFI_Scalar, dtype);
SAME_PLACE(Scalar, value, XLA_FFI_Scalar, value);

SAME_SIZE(Buffers, XLA_FFI_Args);
SAME_PLACE(Buffers, count, XLA_FFI_Args, size);
SAME_PLACE(Buffers, buffers, XLA_FFI_Args, args);
SAME_SIZE(Buffers, XLA_FFI_Rets);
SAME_PLACE(Buffers, count, XLA_FFI_Rets, size);
SAME_PLACE(Buffers, buffers, XLA_FFI_Rets, rets);

SAME_SIZE(Attributes, XLA_FFI_Attrs);
SAME_PLACE(Attributes, count, XLA_FFI_Attrs, size);
SAME_PLACE(Attributes, kinds, XLA_FFI_Attrs, types);
SAME_PLACE(Attributes, names, XLA_FFI_Attrs, names);
SAME_PLACE(Attributes, values, XLA_FFI_Attrs, attrs);

SAME_PLACE(Frame, extension, XLA_FFI_CallFrame, extension_start);
SAME_PLACE(Frame, api, XLA_FFI_CallFrame, api);
SAME_PLACE(Frame, stage, XLA_FFI_CallFrame, stage);
SAME_PLACE(Frame, arguments, XLA_FFI_CallFrame, args);
SAME_PLACE(Frame, results, XLA_FFI_CallFrame, rets);
SAME_PLACE(Frame, attributes, XLA_FFI_CallFrame, attrs);
static_assert(sizeof(own::Frame) <= XLA_FFI_CallFrame_STRUCT_SIZE, "size of XLA_FFI_CallFrame");

SAME_PLACE(Metadata, version, XLA_FFI_Metadata, api_version);
SAME_PLACE(Metadata, traits, XLA_FFI_Metadata, traits);
SAME_SIZE(MetadataRequest, XLA_FFI_Metadata_Extension);
SAME_PLACE(MetadataRequest, metadata, XLA_FFI_Metadata_Extension, metadata);
