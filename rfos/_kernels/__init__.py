"""All compiled code: kernels take arrays and scalars and fill arrays that the caller allocated."""
