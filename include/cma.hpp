/* SPDX-License-Identifier: MIT OR BSD-2-Clause */
/**
 * @file cma.hpp
 * libcma for C++17: cma.h with owners, views and errors. Header-only.
 *
 * Errors: a function that fails throws cma::Error, a std::system_error whose
 * code is the errno value in std::generic_category() and whose text says why,
 * as cma_explain_call() does. Its overload with a std::error_code does not throw: it
 * sets the code, clears it after success, and returns nothing of use after a
 * failure. What can fail for which reason stands in cma.h.
 *
 * Example:
 * @code
 *   cma::Context context;
 *   auto value = context.load<double>(cma::pid(1234), address);
 * @endcode
 */
#ifndef CMA_HPP
#define CMA_HPP

#include <cma.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace cma
{

/** What a failed call throws; what() is a whole sentence, with nothing behind. */
class Error : public std::system_error
{
public:
	/** @param error an errno value
	 *  @param text why, in words */
	Error(int error, const std::string &text)
		: std::system_error(error, std::generic_category())
		, text_(text)
	{
	}

	const char *what() const noexcept override
	{
		return text_.what();
	}

private:
	std::runtime_error text_; /* a string whose copies do not throw */
};

/** Whose memory: made by pid(), pidfd(), published(); a Handle converts. */
using Peer = ::cma_peer;

/** @param id a process or thread in the caller's pid namespace */
inline Peer pid(pid_t id) noexcept
{
	return ::cma_pid(id);
}

/** @param id of a process that published a window: cma_published() */
inline Peer published(pid_t id) noexcept
{
	return ::cma_published(id);
}

/** @param fd a descriptor of pidfd_open(2); stays the caller's */
inline Peer pidfd(int fd) noexcept
{
	return ::cma_pidfd(fd);
}

/**
 * Contiguous local memory as bytes: a pointer and a length, or any container
 * or array of trivially copyable elements that std::data() and std::size()
 * take. A plain value; the memory stays its owner's.
 */
template <typename Byte>
class BasicView
{
	using Void =
		std::conditional_t<std::is_const_v<Byte>, const void, void>;

public:
	/** @param size bytes at data */
	BasicView(Void *data, std::size_t size) noexcept
		: data_(static_cast<Byte *>(data))
		, size_(size)
	{
	}

	template <typename Container,
		  typename Element = std::remove_pointer_t<
			  decltype(std::data(std::declval<Container &>()))>,
		  typename = std::enable_if_t<
			  std::is_convertible_v<Element *, Void *>>>
	BasicView(Container &&container) noexcept
		: BasicView(std::data(container),
			    std::size(container) * sizeof(Element))
	{
		static_assert(std::is_trivially_copyable_v<Element>,
			      "only plain data can be copied as bytes");
	}

	Byte *data() const noexcept
	{
		return data_;
	}

	/** @return bytes */
	std::size_t size() const noexcept
	{
		return size_;
	}

private:
	Byte *data_;
	std::size_t size_;
};

using View = BasicView<std::byte>;
using ConstView = BasicView<const std::byte>;

/**
 * A handle (cma_handle_open()), closed by its destructor. Move-only.
 *
 * It must not outlive its Context; moving the Context is no harm. Threads may
 * use one handle at the same time, but not while it is moved or closed. In a
 * child made by fork() it is dead weight, like the Context: its use fails with
 * ESTALE, and destroying it does nothing to the parent's.
 */
class Handle
{
public:
	Handle() noexcept = default;

	Handle(Handle &&other) noexcept
		: context_(std::exchange(other.context_, nullptr))
		, id_(std::exchange(other.id_, 0))
	{
	}

	Handle &operator=(Handle &&other) noexcept
	{
		Handle moved(std::move(other));
		std::swap(context_, moved.context_);
		std::swap(id_, moved.id_);
		return *this;
	}

	~Handle()
	{
		if (context_ != nullptr)
			::cma_handle_close(context_, id_);
	}

	/** Whether there is a handle. */
	explicit operator bool() const noexcept
	{
		return context_ != nullptr;
	}

	/** The peer that this handle is; none if it is empty (ENOENT). */
	operator Peer() const noexcept
	{
		return ::cma_handle(id_);
	}

private:
	friend class Context;

	Handle(::cma_context *context, int id) noexcept
		: context_(context)
		, id_(id)
	{
	}

	::cma_context *context_ = nullptr;
	int id_ = 0;
};

/**
 * A window (cma_window_create()), ended by its destructor. Move-only; threads,
 * fork() and its Context as for a Handle.
 */
class Window
{
public:
	Window() noexcept = default;

	Window(Window &&other) noexcept
		: context_(std::exchange(other.context_, nullptr))
		, name_(std::exchange(other.name_, 0))
	{
	}

	Window &operator=(Window &&other) noexcept
	{
		Window moved(std::move(other));
		std::swap(context_, moved.context_);
		std::swap(name_, moved.name_);
		return *this;
	}

	~Window()
	{
		if (context_ != nullptr)
			::cma_window_destroy(context_, name_);
	}

	/** Whether there is a window. */
	explicit operator bool() const noexcept
	{
		return context_ != nullptr;
	}

	/** What others open the window by; 0 if there is none. */
	std::uint64_t name() const noexcept
	{
		return name_;
	}

private:
	friend class Context;

	Window(::cma_context *context, std::uint64_t name) noexcept
		: context_(context)
		, name_(name)
	{
	}

	::cma_context *context_ = nullptr;
	std::uint64_t name_ = 0;
};

/**
 * A part of a peer's memory, mapped (cma_map()), unmapped by its destructor.
 * Move-only. It outlives its Handle and its Context. Its memory may be touched
 * by any thread; a child made by fork() does not have it, and must not let the
 * destructor unmap what is at its place there.
 */
class Mapping
{
public:
	Mapping() noexcept = default;

	Mapping(Mapping &&other) noexcept
		: address_(std::exchange(other.address_, nullptr))
		, size_(std::exchange(other.size_, 0))
	{
	}

	Mapping &operator=(Mapping &&other) noexcept
	{
		Mapping moved(std::move(other));
		std::swap(address_, moved.address_);
		std::swap(size_, moved.size_);
		return *this;
	}

	~Mapping()
	{
		if (address_ != nullptr)
			::cma_unmap(address_, size_);
	}

	/** Whether there is a mapping. */
	explicit operator bool() const noexcept
	{
		return address_ != nullptr;
	}

	/** Its first byte; NULL if there is none. */
	void *data() const noexcept
	{
		return address_;
	}

	/** Its length in bytes. */
	std::size_t size() const noexcept
	{
		return size_;
	}

private:
	friend class Context;

	void *address_ = nullptr;
	std::size_t size_ = 0;
};

/**
 * A context (cma_open()), closed by its destructor. Move-only.
 *
 * Threads may use one context at the same time, but not while it is moved or
 * destroyed. It belongs to the process that opened it: in a child made by
 * fork() every use fails with ESTALE, and destroying it gives back what the
 * child inherited.
 *
 * Lengths are bytes. A copy may be of any length (CMA_LARGE).
 */
class Context
{
public:
	/** @param flags 0, CMA_OPEN_DEVICE or CMA_OPEN_SYSCALL */
	explicit Context(unsigned int flags = 0)
	{
		require("cma_open", CMA_CALL_OPEN, ::cma_open(&context_, flags),
			{});
	}

	/** As above; after a failure the context is empty. */
	Context(unsigned int flags, std::error_code &error) noexcept
	{
		result(::cma_open(&context_, flags), error);
	}

	Context(Context &&other) noexcept
		: context_(std::exchange(other.context_, nullptr))
	{
	}

	Context &operator=(Context &&other) noexcept
	{
		Context moved(std::move(other));
		std::swap(context_, moved.context_);
		return *this;
	}

	~Context()
	{
		::cma_close(context_);
	}

	/** Whether there is a context. Of an empty one only this and backend()
	 *  may be asked. */
	explicit operator bool() const noexcept
	{
		return context_ != nullptr;
	}

	/** The context as cma.h knows it; stays this object's. */
	::cma_context *get() const noexcept
	{
		return context_;
	}

	/** By what means the context moves data. */
	enum ::cma_backend backend() const noexcept
	{
		return ::cma_backend(context_);
	}

	/** What the context can do: cma_query(). */
	::cma_limits limits() const
	{
		::cma_limits limits = {};
		limits.size = sizeof(limits);
		require("cma_query", CMA_CALL_QUERY,
			::cma_query(context_, &limits), {});
		return limits;
	}

	/** Why a call about this peer failed, in words: cma_explain(). */
	std::string explain(Peer peer, std::error_code error) const
	{
		return explain(CMA_CALL_ANY, peer, error);
	}

	/** Why this call failed, in words: cma_explain_call(). */
	std::string explain(enum ::cma_call call, Peer peer,
			    std::error_code error) const
	{
		char text[1024];
		::cma_explain_call(context_, call, peer, -error.value(), text,
				   sizeof(text));
		return text;
	}

	/** Open a handle: cma_handle_open(). */
	Handle open(Peer peer) const
	{
		const int id = ::cma_handle_open(context_, peer);
		require("cma_handle_open", CMA_CALL_HANDLE_OPEN, id, peer);
		return Handle(context_, id);
	}

	/** As above; after a failure the handle is empty. */
	Handle open(Peer peer, std::error_code &error) const noexcept
	{
		const int id = ::cma_handle_open(context_, peer);
		result(id, error);
		return id < 0 ? Handle() : Handle(context_, id);
	}

	/** Let others reach memory of this process: cma_window_create(). */
	Window expose(ConstView memory, unsigned int access,
		      unsigned int mode = 0600) const
	{
		std::uint64_t name = 0;
		require("cma_window_create", CMA_CALL_WINDOW_CREATE,
			::cma_window_create(context_, memory.data(),
					    memory.size(), access, mode, &name),
			{});
		return Window(context_, name);
	}

	/** Let others reach all of it by this pid: cma_window_publish(). */
	Window publish(unsigned int access, unsigned int mode = 0600) const
	{
		std::uint64_t name = 0;
		require("cma_window_publish", CMA_CALL_WINDOW_CREATE,
			::cma_window_publish(context_, access, mode, &name),
			{});
		return Window(context_, name);
	}

	/** Open another process's window; length: cma_window_open_sized(). */
	Handle open_window(std::uint64_t name, unsigned int access = 0,
			   std::uint64_t *length = nullptr) const
	{
		std::uint64_t unwanted = 0;
		const int id = ::cma_window_open_sized(
			context_, name, access, length ? length : &unwanted);
		require("cma_window_open", CMA_CALL_WINDOW_OPEN, id, {});
		return Handle(context_, id);
	}

	/**
	 * Map a part of a peer's memory: cma_map().
	 *
	 * @param handle of the peer, or of its window
	 * @param offset bytes from the beginning of the handle's first page
	 * @param length bytes
	 * @param protection PROT_READ, PROT_WRITE
	 * @param flags CMA_MAP_POPULATE
	 */
	Mapping map(const Handle &handle, std::uint64_t offset,
		    std::size_t length, int protection,
		    unsigned int flags = 0) const
	{
		Mapping mapping;
		const int error = ::cma_map(
			context_, handle.id_, offset, length, protection,
			flags & ~CMA_MAP_FIXED, &mapping.address_);
		require("cma_map", CMA_CALL_MAP, error, handle);
		mapping.size_ = length;
		return mapping;
	}

	/** Read from the peer. @return bytes moved: less than local.size()
	 *  where memory ends */
	std::size_t read(Peer peer, View local, std::uintptr_t remote) const
	{
		return require("cma_read", CMA_CALL_COPY,
			       get(peer, local, remote), peer);
	}

	std::size_t read(Peer peer, View local, std::uintptr_t remote,
			 std::error_code &error) const noexcept
	{
		return result(get(peer, local, remote), error);
	}

	/** Write to the peer. @return as read() */
	std::size_t write(Peer peer, ConstView local,
			  std::uintptr_t remote) const
	{
		return require("cma_write", CMA_CALL_COPY,
			       put(peer, local, remote), peer);
	}

	std::size_t write(Peer peer, ConstView local, std::uintptr_t remote,
			  std::error_code &error) const noexcept
	{
		return result(put(peer, local, remote), error);
	}

	/** Everything that a copy can take and tell: cma_copy().
	 *  @return bytes moved */
	std::size_t copy(::cma_request &request) const
	{
		return require("cma_copy", CMA_CALL_COPY,
			       ::cma_copy(context_, &request), request.peer);
	}

	std::size_t copy(::cma_request &request,
			 std::error_code &error) const noexcept
	{
		return result(::cma_copy(context_, &request), error);
	}

	/** Read an object of plain data; EFAULT if not all of it is there. */
	template <typename T>
	T load(Peer peer, std::uintptr_t remote) const
	{
		T value;
		load_into(peer, View(&value, sizeof(value)), remote);
		return value;
	}

	/** Fill local from the peer; EFAULT if not all of it is there. */
	void load_into(Peer peer, View local, std::uintptr_t remote) const
	{
		require_whole("cma_read", read(peer, local, remote),
			      local.size());
	}

	/** Write an object of plain data; EFAULT if not all of it fits. */
	template <typename T>
	void store(Peer peer, const T &value, std::uintptr_t remote) const
	{
		static_assert(std::is_trivially_copyable_v<T>,
			      "only plain data can be copied as bytes");
		store_from(peer, ConstView(&value, sizeof(value)), remote);
	}

	/** Write all of local to the peer; EFAULT if not all of it fits. */
	void store_from(Peer peer, ConstView local, std::uintptr_t remote) const
	{
		require_whole("cma_write", write(peer, local, remote),
			      local.size());
	}

private:
	/** What one copy moves everywhere; beyond it takes CMA_LARGE. */
	static constexpr std::size_t plain_bytes = 0x7fff0000;

	ssize_t get(Peer peer, View local, std::uintptr_t remote) const noexcept
	{
		if (local.size() <= plain_bytes)
			return ::cma_read(context_, peer, local.data(), remote,
					  local.size());
		const ::iovec to = {local.data(), local.size()};
		const ::iovec from = {reinterpret_cast<void *>(remote),
				      local.size()};
		return ::cma_readv(context_, peer, &to, 1, &from, 1, CMA_LARGE);
	}

	ssize_t put(Peer peer, ConstView local,
		    std::uintptr_t remote) const noexcept
	{
		if (local.size() <= plain_bytes)
			return ::cma_write(context_, peer, local.data(), remote,
					   local.size());
		const ::iovec from = {const_cast<std::byte *>(local.data()),
				      local.size()};
		const ::iovec to = {reinterpret_cast<void *>(remote),
				    local.size()};
		return ::cma_writev(context_, peer, &from, 1, &to, 1,
				    CMA_LARGE);
	}

	static std::size_t result(ssize_t value,
				  std::error_code &error) noexcept
	{
		error.clear();
		if (value < 0)
			error.assign(static_cast<int>(-value),
				     std::generic_category());
		return value < 0 ? 0 : static_cast<std::size_t>(value);
	}

	std::size_t require(const char *function, enum ::cma_call call,
			    ssize_t value, Peer peer) const
	{
		if (value >= 0)
			return static_cast<std::size_t>(value);
		const auto error = static_cast<int>(-value);
		throw Error(error,
			    std::string(function) + ": " +
				    explain(call, peer,
					    {error, std::generic_category()}));
	}

	static void require_whole(const char *function, std::size_t moved,
				  std::size_t wanted)
	{
		if (moved < wanted)
			throw Error(EFAULT,
				    std::string(function) +
					    ": usable memory ended after " +
					    std::to_string(moved) + " of " +
					    std::to_string(wanted) + " bytes");
	}

	::cma_context *context_ = nullptr;
};

} // namespace cma

#endif /* CMA_HPP */
