/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file cma_reduce.hpp
 * cma_reduce.h for C++17. Errors are as cma.hpp has them.
 *
 * Example:
 * @code
 *   cma::Context context;
 *   std::vector<double> sums = ...;
 *   cma::reduce(context, CMA_OP_SUM, cma::pid(1234), sums.data(), sums.size(), address);
 * @endcode
 */
#ifndef CMA_REDUCE_HPP
#define CMA_REDUCE_HPP

#include <cma.hpp>
#include <cma_reduce.h>
#include <limits>

namespace cma
{

/** CMA_TYPE_* of an arithmetic type, or of a class that std::numeric_limits describes as
 *  one of IEEE 754's, of 16 bits; so does C++23's std::float16_t, and std::bfloat16_t. */
template <typename T>
constexpr enum ::cma_type type_of() noexcept
{
	using Limits = std::numeric_limits<T>;
	constexpr bool is_half = Limits::is_iec559 && sizeof(T) == 2 &&
				 (Limits::digits == 11 || Limits::digits == 8);
	static_assert(is_half || std::is_same_v<T, float> ||
			      std::is_same_v<T, double> ||
			      (std::is_integral_v<T> && sizeof(T) <= 8 &&
			       !std::is_same_v<T, bool>),
		      "no elements of this type can be reduced");
	if constexpr (is_half)
		return Limits::digits == 11 ? CMA_TYPE_FLOAT16
					    : CMA_TYPE_BFLOAT16;
	else if constexpr (std::is_floating_point_v<T>)
		return sizeof(T) == 4 ? CMA_TYPE_FLOAT : CMA_TYPE_DOUBLE;
	else if constexpr (sizeof(T) == 1)
		return std::is_signed_v<T> ? CMA_TYPE_INT8 : CMA_TYPE_UINT8;
	else if constexpr (sizeof(T) == 2)
		return std::is_signed_v<T> ? CMA_TYPE_INT16 : CMA_TYPE_UINT16;
	else if constexpr (sizeof(T) == 4)
		return std::is_signed_v<T> ? CMA_TYPE_INT32 : CMA_TYPE_UINT32;
	else
		return std::is_signed_v<T> ? CMA_TYPE_INT64 : CMA_TYPE_UINT64;
}

/** Everything that a reduction can take and tell: cma_reduce().
 *  @return elements reduced */
inline std::size_t reduce(const Context &context, ::cma_reduction &reduction,
			  std::error_code &error) noexcept
{
	const ::ssize_t value = ::cma_reduce(context.get(), &reduction);
	error.clear();
	if (value < 0)
		error.assign(static_cast<int>(-value), std::generic_category());
	return value < 0 ? 0 : static_cast<std::size_t>(value);
}

inline std::size_t reduce(const Context &context, ::cma_reduction &reduction)
{
	std::error_code error;
	const std::size_t reduced = reduce(context, reduction, error);
	if (!error)
		return reduced;
	const std::size_t stopped = reduction.fault_operand;
	const Peer peer = stopped < reduction.operand_count
				  ? reduction.operands[stopped].peer
				  : Peer{};
	throw Error(error.value(),
		    "cma_reduce: " +
			    context.explain(CMA_CALL_REDUCE, peer, error));
}

/**
 * local[i] = local[i] op remote[i], of one peer.
 *
 * @param context a way to the peer
 * @param op CMA_OP_*
 * @param peer whose memory
 * @param[in,out] local elements of the caller's
 * @param count so many
 * @param remote address of the peer's elements
 * @param error set or cleared; without it, a failure is an exception
 * @return elements reduced: less than count where the peer's memory ends
 */
template <typename T, typename... ErrorCode>
std::size_t reduce(const Context &context, enum ::cma_op op, Peer peer,
		   T *local, std::size_t count, std::uintptr_t remote,
		   ErrorCode &...error)
{
	const ::iovec here = {local, count * sizeof(T)};
	const ::iovec there = {reinterpret_cast<void *>(remote),
			       count * sizeof(T)};
	const ::cma_operand operand = {peer, &there, 1};
	::cma_reduction reduction = {};
	reduction.op = op;
	reduction.type = type_of<T>();
	reduction.count = count;
	reduction.local = &here;
	reduction.local_count = 1;
	reduction.operands = &operand;
	reduction.operand_count = 1;
	return reduce(context, reduction, error...);
}

} // namespace cma

#endif /* CMA_REDUCE_HPP */
