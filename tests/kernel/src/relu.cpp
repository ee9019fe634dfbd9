/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relu and silu_and_mul for the CPU, as out variants. The namespace comes from
 * binding.c: this file is compiled once, each build of it only linked.
 */
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cmath>
#include <cstdint>
#include <optional>

extern "C" const char kernel_namespace[];

namespace {

void check_pair(const at::Tensor &out, const at::Tensor &input)
{
	TORCH_CHECK(input.is_floating_point(),
		    "input must be floating point, not ", input.scalar_type());
	TORCH_CHECK(out.scalar_type() == input.scalar_type(), "out is ",
		    out.scalar_type(), ", input is ", input.scalar_type());
	TORCH_CHECK(out.device() == input.device(), "out is on ", out.device(),
		    ", input on ", input.device());
}

void check_relu(const at::Tensor &out, const at::Tensor &input)
{
	check_pair(out, input);
	TORCH_CHECK(out.sizes() == input.sizes(), "out has sizes ",
		    out.sizes(), ", input ", input.sizes());
}

void check_silu_and_mul(const at::Tensor &out, const at::Tensor &input)
{
	check_pair(out, input);
	TORCH_CHECK(input.dim() > 0 && input.size(-1) % 2 == 0,
		    "the last dimension of input must be even, sizes are ",
		    input.sizes());
	auto sizes = input.sizes().vec();
	sizes.back() /= 2;
	TORCH_CHECK(out.sizes() == sizes, "out has sizes ", out.sizes(),
		    ", should have ", at::IntArrayRef(sizes));
}

/* The loops below want dense rows: what is not dense is written elsewhere. */
at::Tensor dense_like(const at::Tensor &out)
{
	return out.is_contiguous() ? out : at::empty(out.sizes(), out.options());
}

void relu(at::Tensor &out, const at::Tensor &input)
{
	check_relu(out, input);
	const at::Tensor from = input.contiguous();
	at::Tensor to = dense_like(out);
	const int64_t count = from.numel();

	AT_DISPATCH_FLOATING_TYPES_AND2(
		at::kHalf, at::kBFloat16, from.scalar_type(), "relu", [&] {
			const scalar_t *x = from.const_data_ptr<scalar_t>();
			scalar_t *y = to.mutable_data_ptr<scalar_t>();
			const scalar_t zero = 0;
			/* asked this way round, a NaN stays one */
			for (int64_t i = 0; i < count; i++)
				y[i] = x[i] < zero ? zero : x[i];
		});
	if (!to.is_same(out))
		out.copy_(to);
}

void silu_and_mul(at::Tensor &out, const at::Tensor &input)
{
	check_silu_and_mul(out, input);
	const at::Tensor from = input.contiguous();
	at::Tensor to = dense_like(out);
	const int64_t width = to.size(-1);
	const int64_t rows = width > 0 ? to.numel() / width : 0;

	AT_DISPATCH_FLOATING_TYPES_AND2(
		at::kHalf, at::kBFloat16, from.scalar_type(), "silu_and_mul",
		[&] {
			using wide_t = at::opmath_type<scalar_t>;
			const scalar_t *x = from.const_data_ptr<scalar_t>();
			scalar_t *y = to.mutable_data_ptr<scalar_t>();
			for (int64_t r = 0; r < rows; r++) {
				for (int64_t i = 0; i < width; i++) {
					const wide_t a = x[i];
					const wide_t b = x[width + i];
					y[i] = a / (1 + std::exp(-a)) * b;
				}
				x += 2 * width;
				y += width;
			}
		});
	if (!to.is_same(out))
		out.copy_(to);
}

/* torch.compile traces with tensors that have shapes and no bytes. */
void relu_meta(at::Tensor &out, const at::Tensor &input)
{
	check_relu(out, input);
}

void silu_and_mul_meta(at::Tensor &out, const at::Tensor &input)
{
	check_silu_and_mul(out, input);
}

/*
 * What TORCH_LIBRARY expands to, but for the namespace, which that macro wants
 * as a word at compile time.
 */
torch::Library define()
{
	torch::Library m(torch::Library::DEF, kernel_namespace, std::nullopt,
			 "relu.cpp", __LINE__);
	m.def("relu(Tensor! out, Tensor input) -> ()");
	m.def("silu_and_mul(Tensor! out, Tensor input) -> ()");
	return m;
}

torch::Library implement(c10::DispatchKey key)
{
	torch::Library m(torch::Library::IMPL, kernel_namespace, key,
			 "relu.cpp", __LINE__);
	const bool meta = key == c10::DispatchKey::Meta;
	m.impl("relu", meta ? relu_meta : relu);
	m.impl("silu_and_mul", meta ? silu_and_mul_meta : silu_and_mul);
	return m;
}

torch::Library definitions = define();
torch::Library on_cpu = implement(c10::DispatchKey::CPU);
torch::Library on_meta = implement(c10::DispatchKey::Meta);

} /* namespace */
