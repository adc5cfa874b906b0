#include "elf.h"

#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bridge {
namespace {

#if defined(__x86_64__)
constexpr int machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int machine = EM_AARCH64;
#else
#error "Envoy runs on amd64 and arm64"
#endif

// File is a read-only mapping.
struct File {
  const char *data = nullptr;
  size_t size = 0;

  ~File() {
    if (data != nullptr)
      munmap(const_cast<char *>(data), size);
  }

  bool open(const std::string &path) {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
      return false;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
      void *p = mmap(nullptr, static_cast<size_t>(st.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
      if (p != MAP_FAILED) {
        data = static_cast<const char *>(p);
        size = static_cast<size_t>(st.st_size);
      }
    } else {
      errno = S_ISDIR(st.st_mode) ? EISDIR : ENOEXEC;
    }
    int why = errno;
    close(fd);
    errno = why;
    return data != nullptr;
  }

  // at copies an object, as the file may not be aligned.
  template <typename Object> bool at(uint64_t offset, Object *o) const {
    if (offset > size || size - offset < sizeof *o)
      return false;
    std::memcpy(o, data + offset, sizeof *o);
    return true;
  }
};

// text reads a name, which must end within its table.
bool text(const File &f, const Elf64_Shdr &strings, uint64_t offset, std::string *s) {
  if (strings.sh_offset > f.size || strings.sh_size > f.size - strings.sh_offset || offset >= strings.sh_size)
    return false;
  const char *start = f.data + strings.sh_offset + offset;
  size_t room = static_cast<size_t>(strings.sh_size - offset), length = strnlen(start, room);
  s->assign(start, length);
  return length < room;
}

bool read_section(const File &f, const Elf64_Ehdr &head, const Elf64_Shdr &section, Symbols *symbols) {
  Elf64_Shdr strings;
  if (!f.at(head.e_shoff + static_cast<uint64_t>(section.sh_link) * head.e_shentsize, &strings))
    return false;
  if (section.sh_offset > f.size || section.sh_size > f.size - section.sh_offset)
    return false;
  Elf64_Sym symbol;
  for (uint64_t i = 1; i < section.sh_size / sizeof symbol; i++) { // the first one is none
    std::string name;
    if (!f.at(section.sh_offset + i * sizeof symbol, &symbol) || !text(f, strings, symbol.st_name, &name))
      return false;
    if (!name.empty())
      (symbol.st_shndx == SHN_UNDEF ? symbols->undefined : symbols->defined).insert(name);
  }
  return true;
}

} // namespace

bool read_symbols(const std::string &path, Symbols *symbols, std::string *error) {
  File f;
  if (!f.open(path)) {
    *error = std::strerror(errno);
    return false;
  }
  Elf64_Ehdr head;
  bool elf = f.at(0, &head) && std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0;
  // Both processors have 64 bits, the least significant ones first; what others have is written otherwise from here on.
  bool foreign = elf && (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_ident[EI_DATA] != ELFDATA2LSB);
  if (!elf || (!foreign && head.e_type != ET_DYN)) {
    *error = "it is not a shared library (go build -buildmode=c-shared makes one)";
    return false;
  }
  if (foreign || head.e_machine != machine) {
    *error = "it is built for another processor";
    return false;
  }
  for (unsigned i = 0; i < head.e_shnum; i++) {
    Elf64_Shdr section;
    if (!f.at(head.e_shoff + static_cast<uint64_t>(i) * head.e_shentsize, &section))
      break;
    if (section.sh_type != SHT_DYNSYM)
      continue;
    if (read_section(f, head, section, symbols))
      return true;
    break;
  }
  *error = "its symbol table is damaged or missing";
  return false;
}

} // namespace bridge
